import { defaultHeaderNames } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { cloudflareTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { daytona } from "../src/adapters/daytona/daytona.ts"
import { e2b } from "../src/adapters/e2b/e2b.ts"
import { url } from "../src/adapters/url.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import { edgeHostHeader, throughEdge } from "../src/testing.ts"
import { at } from "./at.ts"
import { fakeDaytona } from "./fakes/daytona-cloud.ts"
import { fakeE2b } from "./fakes/e2b-cloud.ts"
import { fakeMachine } from "./fakes/daytona-machine.ts"
import type { FakeMachine } from "./fakes/daytona-machine.ts"

let machine: FakeMachine
let origin: string
beforeEach(async () => {
  machine = await fakeMachine()
  origin = `http://127.0.0.1:${machine.proxyPort}`
})
afterEach(() => machine.close())

const record = (type: string, externalId: string, metadata: Machine["metadata"]): Machine => ({
  id: machine.id,
  type,
  externalId,
  metadata,
})
/** What the app reads, when the edge takes nothing off: its fields by lower-case name. */
const seenByApp = async (provider: MachineProvider, machineRecord: Machine, headers = {}) => {
  const fetcher = machineFetcher(provider, machineRecord, { port: machine.appPort, signingKey: machine.signing })
  const response = await fetcher(new Request("http://app.test/", { headers: { "x-app": "1", ...headers } }))
  expect(response.status).toBe(299)
  const list = ((await response.json()) as { readonly headers: readonly string[] }).headers
  return new Map(list.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), list[i + 1]]] : [])))
}

describe("what only the platform's edge is to read never reaches the app:", () => {
  it("the service token of a Cloudflare tunnel", async () => {
    const provider = at(cloudflareTunnel({ access: { clientId: "canary-id", clientSecret: "canary-secret" } }), {
      "https://m1.example.com": origin,
    })
    const seen = await seenByApp(provider, record("cloudflare-tunnel", "t1", { hostname: "m1.example.com" }))
    expect(JSON.stringify([...seen])).not.toMatch(/canary|cf-access/i)
    expect(seen.get("x-app")).toBe("1")
  })

  it("Daytona's preview token", async () => {
    const cloud = await fakeDaytona()
    try {
      const sandbox = await cloud.sandbox(machine.proxyPort)
      let token: string | undefined
      const real = daytona({ apiKey: cloud.apiKey, apiBase: cloud.apiBase })
      const provider: MachineProvider = {
        ...real,
        resolve: async (...args) => {
          const endpoint = await real.resolve(...args)
          token = new Headers(endpoint.headers).get("x-daytona-preview-token") ?? undefined
          return { ...endpoint, origin }
        },
      }
      const seen = await seenByApp(provider, record("daytona", sandbox.id, {}))
      expect(token).toMatch(/./)
      expect(JSON.stringify([...seen])).not.toContain(token)
      expect([...seen.keys()].filter((name) => name.startsWith("x-daytona"))).toEqual([])
    } finally {
      await cloud.close()
    }
  })

  it("E2B's traffic token, while a client's own fields of the edge's names do", async () => {
    const cloud = await fakeE2b()
    try {
      const sandbox = cloud.sandbox(machine.proxyPort)
      const provider = throughEdge(e2b({ apiKey: cloud.apiKey, apiBase: cloud.apiBase }), cloud.edgeOrigin)
      const own = { "e2b-sandbox-id": "other", "e2b-sandbox-port": "22", "e2b-traffic-access-token": "mine" }
      const browser = { "user-agent": "Mozilla/5.0", "x-access-token": "the-apps" }
      const seen = await seenByApp(provider, record("e2b", sandbox.id, {}), { ...own, ...browser })
      expect(Object.fromEntries(seen)).toMatchObject({ ...own, ...browser })
      expect(JSON.stringify([...seen])).not.toContain(sandbox.token)
      expect(seen.has(edgeHostHeader)).toBe(false)
      // The edge read its own, and none of the client's.
      const [atEdge] = cloud.edge
      expect(atEdge!.headers).toMatchObject({ "e2b-traffic-access-token": sandbox.token })
      expect(atEdge!.headers).not.toHaveProperty("e2b-sandbox-id")
      expect(atEdge!.headers["user-agent"] ?? "").not.toMatch(/mozilla/i)
    } finally {
      await cloud.close()
    }
  })

  it("the headers of a machine that is reached by its URL, while the client's own of the same name do", async () => {
    const provider = url({
      headers: { "X-Token": "canary", Authorization: "Basic canary" },
      allowCidrs: ["127.0.0.0/8"],
    })
    const machineRecord = record("url", "u1", { origin })
    const seen = await seenByApp(provider, machineRecord, { "x-token": "client", "x-tokens": "client" })
    expect(JSON.stringify([...seen])).not.toContain("canary")
    expect([seen.get("x-token"), seen.get("x-tokens"), seen.has("authorization")]).toEqual(["client", "client", false])
    expect([...seen.keys()].filter((name) => name.startsWith(defaultHeaderNames.prefix))).toEqual([
      defaultHeaderNames.via,
    ])
  })
})
