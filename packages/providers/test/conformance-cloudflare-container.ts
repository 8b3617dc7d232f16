/** Two machines of this process as containers of Cloudflare: their Durable Objects are in the Worker that is under test. */
import type { Machine } from "../src/contract/machine-provider.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { containerHost } from "./fakes/cloudflare-containers.ts"

export const cloudflareContainerFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const host = await containerHost()
  const mine = host.container("m1", a.port)
  host.container("m2", b.port)
  mine.boot = async () => {
    await a.start()
    mine.proxyPort = a.port
  }
  const made: Made = { adapter: "cloudflare-container" }
  // An object has nothing but its name to know where its container is.
  const record = (id: string, name: string): Machine => ({
    id,
    type: "cloudflare-container",
    externalId: name === "" ? "" : `${name}@${host.origin}`,
    metadata: {},
  })
  const says = (status: number, body: string) => async () => {
    host.always = { status, body }
    return () => {
      host.always = undefined
    }
  }
  return {
    made,
    provider: provider(made),
    machine: record(a.id, "m1"),
    other: record(b.id, "m2"),
    port: a.appPort,
    signingKey: signing,
    wrong: { externalId: record(a.id, "") },
    stop: async () => {
      await a.stop()
      mine.running = false
    },
    restart: async () => {
      await mine.boot()
      mine.running = true
      return record(a.id, "m1")
    },
    unavailable: says(503, "There is no Container instance available at this time.\nThis is likely because"),
    close: () => Promise.all([close(), host.close()]),
  }
}
