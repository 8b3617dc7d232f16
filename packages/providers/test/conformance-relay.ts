/** Two machines of this process that dial out to a relay in workerd. */
import type { Machine } from "../src/contract/machine-provider.ts"
import { conformanceApp } from "../src/testing/app.ts"
import { provider } from "./conformance-remote.ts"
import type { AdapterWorker, Made, Proved } from "./conformance-remote.ts"
import { dial, startRelay } from "./relay-fixture.ts"
import type { Connected } from "./relay-fixture.ts"
import { startedApp } from "./started-app.ts"

/** `worker`: where the suite runs, which has the objects. */
export const relayFixture = async (worker?: AdapterWorker): Promise<Proved> => {
  const own = worker === undefined ? await startRelay() : undefined
  const { url, signing } = worker ?? { url: new URL(own!.connectUrl), signing: own!.signing }
  const a = await startedApp(conformanceApp("mach_a"))
  const b = await startedApp(conformanceApp("mach_b"), "::1", a.port)
  const connect = async (machine: string, loopback: string): Promise<Connected> => {
    const connected = await dial({ url: url.href.replace("http:", "ws:"), machine, signing, loopback })
    await connected.until("connected")
    return connected
  }
  let mine = await connect("mach_a", "127.0.0.1")
  const its = await connect("mach_b", "::1")
  const made: Made = { adapter: "relay" }
  const record = (id: string, externalId = id): Machine => ({ id, type: "relay", externalId, metadata: {} })
  return {
    made,
    provider: provider(made),
    machine: record("mach_a"),
    other: record("mach_b"),
    port: a.port,
    signingKey: signing,
    wrong: { externalId: record("mach_a", "") },
    stop: () => mine.close(),
    restart: async () => {
      await mine.close()
      mine = await connect("mach_a", "127.0.0.1")
      return record("mach_a")
    },
    close: async () => {
      await Promise.all([mine.close(), its.close()])
      await Promise.all([own?.close(), a.close(), b.close()])
    },
  }
}
