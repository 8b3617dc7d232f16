/**
 * Two machines of this process as sandboxes of Cloudflare: their Durable Objects, of the vendor's own class, are in the Worker that
 * is under test.
 */
import type { Machine } from "../src/contract/machine-provider.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { AdapterWorker, Made, Proved } from "./conformance-remote.ts"
import { containerHost } from "./fakes/cloudflare-containers.ts"

export const cloudflareSandboxFixture = async (worker?: AdapterWorker): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const host = await containerHost()
  const mine = host.container("m1", a.port)
  host.container("m2", b.port)
  mine.boot = async () => {
    await a.start()
    mine.proxyPort = a.port
  }
  const made: Made = { adapter: "cloudflare-sandbox" }
  // An object has nothing but its name to know where its container is.
  const record = (id: string, externalId: string): Machine => ({
    id,
    type: "cloudflare-sandbox",
    externalId,
    metadata: {},
  })
  const idOf = (name: string) => `${name}@${host.origin}`
  /** The container exits, and its object has seen it. */
  const stop = async (): Promise<void> => {
    await a.stop()
    host.stop("m1")
    for (let status = ""; !status.startsWith("stopped");) {
      const response = await fetch(new URL(`/?id=${encodeURIComponent(idOf("m1"))}`, worker!.url))
      status = ((await response.json()) as { readonly status: string }).status
    }
  }
  return {
    made,
    provider: provider(made),
    machine: record(a.id, idOf("m1")),
    other: record(b.id, idOf("m2")),
    port: a.appPort,
    signingKey: signing,
    wrong: { externalId: record(a.id, "UPPER") },
    stop,
    restart: async () => {
      await mine.boot()
      mine.running = true
      return record(a.id, idOf("m1"))
    },
    unavailable: async () => {
      await stop()
      // With the platform's own text, which the class reads.
      host.always = { status: 599, body: "There is no container instance that can be provided to this durable object" }
      return () => {
        host.always = undefined
      }
    },
    close: () => Promise.all([close(), host.close()]),
  }
}
