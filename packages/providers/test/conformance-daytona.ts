/** Two machines of this process as sandboxes of the fake of Daytona. */
import type { Machine } from "../src/contract/machine-provider.ts"
import type { Undo } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import type { Scripted } from "./fakes/daytona-cloud.ts"

export const daytonaFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const cloud = await fakeDaytona()
  let sandbox = await cloud.sandbox(a.port)
  const second = await cloud.sandbox(b.port)
  sandbox.boot = async () => {
    await a.start()
    sandbox.machineProxyPort = a.port
  }
  const made: Made = { adapter: "daytona", apiKey: cloud.apiKey, apiBase: cloud.apiBase }
  const record = (id: string, externalId: string): Machine => ({ id, type: "daytona", externalId, metadata: {} })
  const inState = async (state: string): Promise<Undo> => {
    const before = sandbox.state
    sandbox.state = state
    return () => void (sandbox.state = before)
  }
  const always = async (answer: Scripted | "hang"): Promise<Undo> => {
    cloud.always(answer)
    return () => cloud.always(undefined)
  }
  return {
    made,
    provider: provider(made),
    machine: record(a.id, sandbox.id),
    other: record(b.id, second.id),
    missing: record("mach_c", "11111111-2222-3333-4444-555555555555"),
    wrong: { externalId: record(a.id, "../secrets") },
    port: a.appPort,
    signingKey: signing,
    get secrets() {
      return [cloud.apiKey, sandbox.token, second.token]
    },
    stop: async () => {
      await a.stop()
      sandbox.stop()
    },
    restart: async () => {
      await sandbox.boot()
      sandbox.state = "started"
      sandbox.rotateToken()
      return record(a.id, sandbox.id)
    },
    suspend: () => inState("paused"),
    starting: () => inState("starting"),
    remove: async () => sandbox.destroy(),
    // Sandboxes never share an address; the worst case is a runner that mistakes one for the other.
    swap: async () => {
      const moved = await cloud.sandbox(a.port)
      moved.boot = sandbox.boot
      sandbox.machineProxyPort = b.port
      sandbox = moved
      return record(a.id, moved.id)
    },
    portClosed: async () => {
      sandbox.fault = "port-closed"
      return () => void (sandbox.fault = "none")
    },
    // As every start does.
    rotate: async () => sandbox.rotateToken(),
    hang: () => always("hang"),
    rateLimit: () => always({ status: 429, headers: { "retry-after-authenticated": "1" } }),
    // A login, which a runtime that followed it would take for an answer. The API's own 401 is a case of daytona.test.ts.
    unauthorized: async () => {
      sandbox.lockedOut = true
      return () => void (sandbox.lockedOut = false)
    },
    unavailable: () => always({ status: 503 }),
    close: () => Promise.all([close(), cloud.close()]),
  }
}
