/** Two machines of this process as sandboxes of the fake of Vercel. */
import type { Machine } from "../src/contract/machine-provider.ts"
import type { Undo } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { fakeVercel } from "./fakes/vercel-cloud.ts"
import type { Scripted } from "./fakes/vercel-cloud.ts"

const startCommand = ["project-ingress-machine-proxy", "--port=8080"]

export const vercelSandboxFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const cloud = await fakeVercel()
  let sandbox = cloud.sandbox(a.port)
  const second = cloud.sandbox(b.port)
  sandbox.boot = async (command) => {
    if (JSON.stringify(command) !== JSON.stringify(startCommand)) return
    await a.start()
    sandbox.machineProxyPort = a.port
  }
  const { token, teamId, projectId, apiBase, edgeOrigin: edge } = cloud
  const made: Made = { adapter: "vercel-sandbox", token, teamId, projectId, startCommand, apiBase, edge }
  const record = (id: string, externalId: string): Machine => ({ id, type: "vercel-sandbox", externalId, metadata: {} })
  const always = async (response: Scripted | "hang"): Promise<Undo> => {
    cloud.always(response)
    return () => cloud.always(undefined)
  }
  const error = (status: number, code: string, headers = {}) => always({ status, body: { error: { code } }, headers })
  return {
    made,
    provider: provider(made),
    machine: record(a.id, sandbox.name),
    other: record(b.id, second.name),
    missing: record("mach_c", "nobody"),
    wrong: { externalId: record(a.id, "..") },
    port: a.appPort,
    signingKey: signing,
    secrets: [token],
    stop: async () => {
      await a.stop()
      sandbox.session.status = "stopped"
    },
    restart: async () => {
      sandbox.resume()
      await sandbox.boot(startCommand)
      return record(a.id, sandbox.name)
    },
    starting: async () => {
      sandbox.session.status = "pending"
      return () => void (sandbox.session.status = "running")
    },
    remove: async () => sandbox.remove(),
    // A session's hostname is never given to another one; the worst case is an edge that mistakes one for the other.
    swap: async () => {
      const moved = cloud.sandbox(a.port)
      moved.boot = sandbox.boot
      sandbox.machineProxyPort = b.port
      sandbox = moved
      return record(a.id, moved.name)
    },
    portClosed: async () => {
      const { machineProxyPort } = sandbox
      sandbox.machineProxyPort = 1
      return () => void (sandbox.machineProxyPort = machineProxyPort)
    },
    hang: () => always("hang"),
    rateLimit: () => error(429, "rate_limited", { "retry-after": "1" }),
    unauthorized: () => error(403, "forbidden"),
    unavailable: () => error(500, "internal_server_error"),
    close: () => Promise.all([close(), cloud.close()]),
  }
}
