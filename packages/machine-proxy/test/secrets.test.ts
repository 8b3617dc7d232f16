import { inspect } from "node:util"
import { generateTicketKeys } from "@project-ingress/forward"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { expect, it } from "vitest"
import { layer, MachineProxy } from "../src/effect.ts"
import type { LayerOptions } from "../src/effect.ts"
import { createMachineProxy } from "../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../src/machine-proxy.ts"

const canary = "c4n4ry".repeat(8)
const secret = { kty: "oct", alg: "HS256", kid: "k1", k: canary } as const

/** Everything that printing, serialising and an error's own text show of a value. */
const shown = (value: object): string =>
  inspect(value, { depth: Infinity, showHidden: true, maxArrayLength: Infinity, maxStringLength: Infinity }) +
  JSON.stringify(value) +
  (value instanceof Error ? `${value.message} ${value.stack}` : "")

const options = { host: "127.0.0.1", port: 0, log: "off", drainMs: 0, proxy: { machine: "m" } } as const

it("a machine proxy leads to none of its keys", () => {
  for (const keys of [[secret], () => [secret]]) {
    expect(shown(createMachineProxy({ machine: "m", keys }))).not.toContain(canary)
  }
})

it("the layer and its service lead to none of the keys", async () => {
  const layerOptions: LayerOptions = { ...options, keys: Redacted.make([secret]) }
  const built = layer(layerOptions)
  expect(shown(layerOptions) + shown(built)).not.toContain(canary)
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(Layer.buildWithScope(built, scope))
  expect(shown(Context.get(context, MachineProxy)) + shown(context)).not.toContain(canary)
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

it("an error about a key shows nothing of it", async () => {
  const { signing } = await generateTicketKeys("k1")
  const invalid: unknown[] = [
    { ...secret, alg: "none" },
    { ...secret, k: `${canary}=` },
    { ...secret, kid: "" },
    { ...signing, x: canary, d: canary },
    canary,
  ]
  for (const key of invalid) {
    const makers = [
      () => createMachineProxy({ machine: "m", keys: [key] as unknown as MachineProxyOptions["keys"] }),
      () => createMachineProxy({ machine: "m", keys: key as MachineProxyOptions["keys"] }),
      () => layer({ ...options, keys: Redacted.make([key]) as unknown as LayerOptions["keys"] }),
      () => layer({ ...options, keys: [key] as unknown as LayerOptions["keys"] }),
    ]
    for (const make of makers) {
      let error: unknown
      try {
        make()
      } catch (thrown) {
        error = thrown
      }
      expect(error).toBeInstanceOf(TypeError)
      expect(shown(error as Error)).not.toContain(canary)
    }
  }
})
