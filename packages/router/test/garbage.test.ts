/** What a request on sockets leaves behind for the garbage collector. */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { defaultLimits } from "@project-ingress/forward/sockets"
import type { Decision, IncomingRequest } from "@project-ingress/forward/sockets"
import { describe, expect, it } from "vitest"
import { hostBounds } from "../src/hosts/bounds.ts"
import { openAccess } from "../src/hosts/open-access.ts"
import { serveExchange } from "../src/hosts/sockets.ts"
import { programOf } from "../src/router-program.ts"
import { fake, setup } from "./fakes.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as (options: { readonly type: "minor" | "major" }) => void

/** What only a collection of the whole heap frees, in bytes. */
const oldBytes = (): number =>
  getHeapSpaceStatistics()
    .filter(({ space_name: name }) => !name.startsWith("new_"))
    .reduce((sum, { space_used_size: used }) => sum + used, 0)

const { signal } = new AbortController()
const identity = { host: "4096__misha.iterate.app", scheme: "http", clientAddress: "127.0.0.1" } as const

/** A request of the engine, whose machine responds at once. */
const incoming = (): IncomingRequest => ({
  head: {
    type: "head",
    method: "GET",
    target: "/",
    version: 11,
    headers: ["Host", "4096__misha.iterate.app", "Cookie", "session=1", "Origin", "http://4096__misha.iterate.app"],
    host: "4096__misha.iterate.app",
    framing: 0,
    upgrade: false,
    expect: false,
    keepAlive: true,
  },
  id: "1",
  remoteAddress: "127.0.0.1",
  peerAddress: "127.0.0.1",
  localPort: 8080,
  encrypted: false,
  socket: undefined as never,
  signal,
  onAbort: () => undefined,
  replayable: true,
  body: () => null,
  over: () => Promise.resolve(),
  onOver: () => undefined,
  withdrawal: () => () => undefined,
  send: async () => {
    await Promise.resolve()
    return {
      head: {
        type: "head",
        status: 200,
        reason: "OK",
        version: 11,
        headers: ["x-iterate-proxy-stamp", "unproven"],
        framing: 0,
        upgrade: false,
        keepAlive: true,
      },
    }
  },
})

describe("a request that is over", () => {
  // A generator function that is made for each request gets a map in the old generation when it is called, and that map holds on to
  // all of its request: every collection of young objects then copies what is dead, and takes fifty times as long.
  it("leaves nothing that only a collection of the whole heap frees", async () => {
    const { router } = setup({ providers: [fake({ endpoint: { ttlMs: 60_000 } })] })
    const program = programOf(router)
    const bounds = hostBounds({}, { limits: defaultLimits, isProxy: undefined, report: program.report })
    const unexpected = () => ({ status: 500, headers: [] })
    const ask = async (): Promise<Decision> => {
      const held = bounds.enter(identity, false)!
      const decision = await serveExchange(program, incoming(), identity, held, openAccess(program), {
        failure: unexpected,
        fallback: unexpected,
      })
      held.release()
      return decision
    }
    const askMany = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const decisions = await Promise.all(Array.from({ length: 100 }, ask))
        expect(new Set(decisions)).toEqual(new Set(["relay"]))
        // Twice: what survives one collection of young objects is moved to the old ones by the next.
        collect({ type: "minor" })
        collect({ type: "minor" })
      }
    }
    await askMany(60)
    collect({ type: "major" })
    const before = oldBytes()
    await askMany(60)
    expect((oldBytes() - before) / 6_000).toBeLessThan(1_500)
  })
})
