import { SendFailure } from "@project-ingress/forward/fetch"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { vendorApi } from "../src/adapter-kit/vendor-api.ts"
import { ProviderUnavailable } from "../src/contract/errors.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { AttemptRequest } from "../src/machines/attempt-request.ts"
import { taken } from "./taken.ts"

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const coded = (code: string): Error => Object.assign(new Error("no"), { code })
const causes: [what: string, cause: Error | undefined][] = [
  ["no cause", undefined],
  ["ETIMEDOUT", coded("ETIMEDOUT")],
  ["UND_ERR_CONNECT_TIMEOUT", coded("UND_ERR_CONNECT_TIMEOUT")],
  ["ConnectionTimeout", coded("ConnectionTimeout")],
  ["a TimeoutError", new DOMException("no", "TimeoutError")],
  ["a cause within a cause", new Error("no", { cause: coded("ETIMEDOUT") })],
]

const failure = async (resolve: MachineProvider["resolve"], request: AttemptRequest<number>): Promise<unknown> => {
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve,
  }
  return Effect.runPromise(Effect.flip(makeMachines({ providers: [provider] }).reach(machine, 3000, request)))
}

// A router answers each of them with 504.
describe("what took too long says so, whatever its cause is called:", () => {
  it.each(causes)("a connection to the machine, with %s", async (_, cause) => {
    const send = () => Effect.fail(new SendFailure("timeout", "no", cause))
    const resolve = async () => ({ origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 })
    expect(await failure(resolve, { ...taken, send })).toMatchObject({ _tag: "ProviderUnavailable", timedOut: true })
  })

  it.each(causes.slice(1))("a call of an adapter, with %s", async (_, cause) => {
    expect(await failure(() => Promise.reject(cause!), taken)).toMatchObject({
      _tag: "ProviderUnavailable",
      timedOut: true,
    })
  })

  it.each(causes.slice(1))("a call of a vendor's API, with %s", async (_, cause) => {
    const api = vendorApi({
      apiBase: "https://api.example.test",
      secrets: { key: "secret-key-1" },
      headers: {},
      fetch: () => Promise.reject(cause!),
    })
    const call = api.request(machine, { path: "/machines", signal: new AbortController().signal })
    await expect(call).rejects.toMatchObject({ _tag: "ProviderUnavailable", timedOut: true })
  })
})

describe("what failed otherwise", () => {
  it("does not, even where its reason sounds like it", async () => {
    const refused = () => Promise.reject(coded("ECONNREFUSED"))
    expect(await failure(refused, taken)).toMatchObject({ _tag: "ProviderUnavailable", timedOut: false })
    const where = { provider: "fake", machine: "m1" }
    expect(new ProviderUnavailable({ ...where, reason: "timeout" }).timedOut).toBe(false)
  })
})
