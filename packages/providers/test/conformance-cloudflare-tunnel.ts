/** Two machines of this process behind the fake of Cloudflare's edge, each with a `cloudflared` that is a line of a table. */
import type { Machine } from "../src/contract/machine-provider.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { cloudflareEdge } from "./fakes/cloudflare-edge.ts"
import type { TunnelHostname } from "./fakes/cloudflare-edge.ts"

const access = { clientId: "canary-7c1d09.access", clientSecret: "canary-5b20e4f1" }

export const cloudflareTunnelFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const edge = await cloudflareEdge({ access })
  const named = async (hostname: string) => ({ hostname, tunnel: await edge.hostname(hostname) })
  let [mine, its] = await Promise.all([named("m1.example.com"), named("m2.example.com")])
  const connect = ({ tunnel }: { readonly tunnel: TunnelHostname }, port: number | undefined): void => {
    tunnel.service = port
  }
  connect(mine, a.port)
  connect(its, b.port)
  const made: Made = {
    adapter: "cloudflare-tunnel",
    access,
    places: Object.fromEntries([mine, its].map(({ hostname, tunnel }) => [`https://${hostname}`, tunnel.origin])),
  }
  const record = ({ id }: { readonly id: string }, hostname: unknown): Machine => ({
    id,
    type: "cloudflare-tunnel",
    externalId: id,
    metadata: { hostname },
  })
  const says =
    (status: number, headers: Readonly<Record<string, string>> = {}) =>
    async () => {
      edge.always = { status, headers, body: `error code: ${status}` }
      return () => {
        edge.always = undefined
      }
    }
  return {
    made,
    provider: provider(made),
    machine: record(a, mine.hostname),
    get other() {
      return record(b, its.hostname)
    },
    port: a.appPort,
    signingKey: signing,
    wrong: { hostname: record(a, "user@m1.example.com") },
    secrets: [access.clientId, access.clientSecret],
    stop: async () => {
      await a.stop()
      connect(mine, undefined)
    },
    restart: async () => {
      await a.start()
      connect(mine, a.port)
      return record(a, mine.hostname)
    },
    // Each runs with the other's token.
    swap: async () => {
      ;[mine, its] = [its, mine]
      connect(mine, a.port)
      connect(its, b.port)
      return record(a, mine.hostname)
    },
    portClosed: async () => {
      connect(mine, 1)
      return () => connect(mine, a.port)
    },
    unauthorized: async () => {
      edge.revoked = true
      return () => {
        edge.revoked = false
      }
    },
    rateLimit: says(429, { "retry-after": "10" }),
    unavailable: says(520),
    close: () => Promise.all([close(), edge.close()]),
  }
}
