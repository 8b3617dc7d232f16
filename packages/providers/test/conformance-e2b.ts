/** Two machines of this process as sandboxes of the fake of E2B, without public traffic. */
import type { Machine } from "../src/contract/machine-provider.ts"
import type { Undo } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { fakeE2b } from "./fakes/e2b-cloud.ts"
import type { Scripted } from "./fakes/e2b-cloud.ts"

export const e2bFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const cloud = await fakeE2b()
  let sandbox = cloud.sandbox(a.port)
  const second = cloud.sandbox(b.port)
  sandbox.boot = async () => {
    await a.start()
    sandbox.machineProxyPort = a.port
  }
  const made: Made = { adapter: "e2b", apiKey: cloud.apiKey, apiBase: cloud.apiBase, edge: cloud.edgeOrigin }
  const record = (id: string, externalId: string): Machine => ({ id, type: "e2b", externalId, metadata: {} })
  const always = async (response: Scripted | "hang"): Promise<Undo> => {
    cloud.always(response)
    return () => cloud.always(undefined)
  }
  return {
    made,
    provider: provider(made),
    machine: record(a.id, sandbox.id),
    other: record(b.id, second.id),
    missing: record("mach_c", "i00000000000000000000"),
    wrong: { externalId: record(a.id, "8080-x.elsewhere.example") },
    port: a.appPort,
    signingKey: signing,
    get secrets() {
      return [cloud.apiKey, sandbox.token, second.token]
    },
    // One that is stopped is gone for good, so there is no `stop`; and none is seen while it starts.
    suspend: async () => {
      await a.stop()
      sandbox.pause()
    },
    restart: async () => {
      await sandbox.resume()
      return record(a.id, sandbox.id)
    },
    remove: async () => sandbox.kill(),
    // The host is made of the id, so that two never share one; the worst case is an edge that mistakes one for the other.
    swap: async () => {
      const moved = cloud.sandbox(a.port)
      moved.boot = sandbox.boot
      sandbox.machineProxyPort = b.port
      sandbox = moved
      return record(a.id, moved.id)
    },
    portClosed: async () => {
      const { machineProxyPort } = sandbox
      sandbox.machineProxyPort = 1
      return () => void (sandbox.machineProxyPort = machineProxyPort)
    },
    rotate: async () => sandbox.rotateToken(),
    hang: () => always("hang"),
    rateLimit: () =>
      always({ status: 429, headers: { "retry-after": "1" }, body: { code: 429, message: "slow down" } }),
    unauthorized: async () => {
      sandbox.lockedOut = true
      return () => void (sandbox.lockedOut = false)
    },
    unavailable: () => always({ status: 503, body: { code: 503, message: "no node" } }),
    close: () => Promise.all([close(), cloud.close()]),
  }
}
