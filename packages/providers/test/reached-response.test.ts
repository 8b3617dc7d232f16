import { defaultHeaderNames as names } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { ProviderUnavailable } from "../src/contract/errors.ts"
import type { AttemptResponse } from "../src/machines/attempt-request.ts"
import { makeMachines } from "../src/machines/machines.ts"

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const endpoint: Endpoint = { origin: "http://10.0.0.1:8080", epoch: "1", ttlMs: 60_000 }
const elsewhere: Endpoint = { ...endpoint, origin: "http://10.0.0.2:8080", epoch: "2" }

interface Scene {
  /** What `resolve` gives, in order; then it hangs. */
  readonly resolves: readonly (Endpoint | Error)[]
  /** What sending gives, in order. */
  readonly replies: readonly Omit<AttemptResponse<string>, "response">[]
  readonly classify?: MachineProvider["classify"]
}

/** Reaches a machine whose responses are named by their order: `#0`, `#1`. */
const scene = ({ resolves, replies, classify }: Scene) => {
  const [next, left] = [[...resolves], [...replies]]
  const discarded: string[] = []
  const provider: MachineProvider = {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve: () => {
      const resolved = next.shift()
      if (resolved === undefined) return new Promise<never>(() => {})
      return resolved instanceof Error ? Promise.reject(resolved) : Promise.resolve(resolved)
    },
    ...(classify === undefined ? {} : { classify }),
  }
  const reached = makeMachines({ providers: [provider] }).reach<string>(machine, 3000, {
    send: () => Effect.succeed({ ...left.shift()!, response: `#${replies.length - left.length - 1}` }),
    discard: (response) => discarded.push(response),
    replayable: () => true,
  })
  return { reached, discarded }
}

const header = (fields: Readonly<Record<string, string>>) => (name: string) => fields[name]
const ours = header({ [names.stamp]: "1", [names.error]: "PORT_CLOSED", "x-app": "1" })

describe("a response that is reached", () => {
  it("of the machine's own proxy is stamped", async () => {
    const { reached } = scene({ resolves: [endpoint], replies: [{ status: 502, header: ours }] })
    const response = await Effect.runPromise(reached)
    expect(response).toMatchObject({ status: 502, stamped: true })
    expect(response.header(names.error)).toBe("PORT_CLOSED")
  })

  it("of an app's own address is not, whatever its fields say", async () => {
    const resolves = [{ ...endpoint, machineProxy: false as const }]
    const { reached } = scene({ resolves, replies: [{ status: 502, header: ours }] })
    const response = await Effect.runPromise(reached)
    expect(response).toMatchObject({ status: 502, stamped: false })
    expect([response.header(names.stamp), response.header(names.error), response.header("x-app")]).toEqual([
      undefined,
      undefined,
      "1",
    ])
  })

  it("of a runtime that hides its head is not", async () => {
    const replies = [{ status: 101, header: header({}), headHidden: true }]
    const { reached } = scene({ resolves: [endpoint], replies })
    expect(await Effect.runPromise(reached)).toMatchObject({ status: 101, stamped: false })
  })
})

describe("a response that may be the app's, because its head is hidden", () => {
  const hidden = { status: 401, header: header({}), headHidden: true }
  const classify = () => "refresh-credentials" as const

  it("is passed on when new credentials are the same, and is discarded by nobody", async () => {
    const { reached, discarded } = scene({ resolves: [endpoint, endpoint], replies: [hidden], classify })
    expect(await Effect.runPromise(reached)).toMatchObject({ status: 401, response: "#0", stamped: false })
    expect(discarded).toEqual([])
  })

  it("is discarded when the request is sent again, whose response is passed on", async () => {
    for (const second of [hidden, { status: 200, header: ours }]) {
      const { reached, discarded } = scene({ resolves: [endpoint, elsewhere], replies: [hidden, second], classify })
      expect(await Effect.runPromise(reached)).toMatchObject({ status: second.status, response: "#1" })
      expect(discarded).toEqual(["#0"])
    }
  })

  it("is discarded when the machine cannot be resolved again", async () => {
    const error = new ProviderUnavailable({ provider: "fake", machine: "m1", reason: "no" })
    const { reached, discarded } = scene({ resolves: [endpoint, error], replies: [hidden], classify })
    await expect(Effect.runPromise(reached)).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
    expect(discarded).toEqual(["#0"])
  })

  it("is discarded when the client leaves while the machine is resolved again", async () => {
    const leaving = new AbortController()
    const asked = (): "refresh-credentials" => {
      queueMicrotask(() => setImmediate(() => leaving.abort()))
      return "refresh-credentials"
    }
    const { reached, discarded } = scene({ resolves: [endpoint], replies: [hidden], classify: asked })
    await expect(Effect.runPromise(reached, { signal: leaving.signal })).rejects.toBeDefined()
    expect(discarded).toEqual(["#0"])
  })
})
