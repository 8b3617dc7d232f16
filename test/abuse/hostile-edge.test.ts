import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startSoakChain } from "../../scripts/soak/chain.ts"
import type { SoakChain } from "../../scripts/soak/chain.ts"
import { DOMAIN, tenantsOf } from "../../scripts/soak/tenant.ts"
import type { Tenant } from "../../scripts/soak/tenant.ts"
import { tokenFor } from "../../scripts/soak/token.ts"
import { expectTellsNothing } from "./generated-response.ts"
import { EDGE, startHostileEdge } from "./hostile-edge.ts"
import type { EdgeTrick, HostileEdge } from "./hostile-edge.ts"
import { RawClient } from "./raw-client.ts"

const tenants = tenantsOf(2, true)
const [first, second] = tenants as [Tenant, Tenant]
let edge: HostileEdge
let chain: SoakChain
let sequence = 0
beforeAll(async () => {
  chain = await startSoakChain(tenants, 10_000, {
    between: async (machinePorts) => {
      edge = await startHostileEdge(machinePorts)
      return edge.ports
    },
  })
})
afterAll(async () => {
  await chain[Symbol.asyncDispose]()
  await edge[Symbol.asyncDispose]()
})

/** A post to a tenant, while the edge does what it does; the response and the token that was sent. */
const post = async (trick: EdgeTrick, tenant: Tenant) => {
  edge.trick = trick
  const token = tokenFor(tenant.index, ++sequence)
  const client = new RawClient(chain.routerPort)
  const host = `${chain.appPort}__${tenant.name}.${DOMAIN}`
  const request = `POST / HTTP/1.1\r\nHost: ${host}\r\nX-Token: ${token}\r\nContent-Length: 4\r\n\r\nbody`
  const text = await client.ask(request)
  client.close()
  return { text, token, ended: client.ended }
}

describe("a hostile edge between router and machine", () => {
  it("passes requests, when it does no more", async () => {
    const { text, token } = await post("passes", first)
    expect(text).toContain(`${first.name} ${token}`)
  })

  it("that sends a request to another machine gets it refused there: no app of another tenant sees it", async () => {
    const { text } = await post("mixes", first)
    expect(text).toMatch(/^HTTP\/1\.1 50[23] /)
    expectTellsNothing(text, first.machine)
    expect(text).not.toContain(second.name)
    expect(await chain.appsReport()).toMatchObject({ strayed: 0 })
  })

  it.each(["strips the request", "strips the response", "responds", "forges", "drops"] as const)(
    "that %s makes a typed error, and nothing that it said reaches the visitor",
    async (trick) => {
      const { text, token } = await post(trick, first)
      // 401 is the machine proxy's own: the ticket was taken away.
      expect(text).toMatch(/^HTTP\/1\.1 (?:50\d|401) /)
      expectTellsNothing(text, first.machine)
      expect(text).not.toContain(EDGE)
      expect(text).not.toContain(`${first.name} ${token}`)
    },
  )

  it("that ends a response in the middle makes a failure of it, never a whole response", async () => {
    const { text, token, ended } = await post("truncates", first)
    expect(ended || /^HTTP\/1\.1 50\d /.test(text)).toBe(true)
    expect(text).not.toMatch(new RegExp(`${first.name} ${token}\\nbody`))
  })

  it("that adds a cookie of the whole domain sets one of this host", async () => {
    const { text } = await post("adds", first)
    expect(text).toMatch(/^set-cookie: edge=1\r$/im)
    expect(text).not.toMatch(/domain=/i)
  })

  it("that sends a request twice has the second response for itself", async () => {
    const { text, token } = await post("replays", second)
    expect(text).toContain(`${second.name} ${token}`)
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  })

  it("that keeps a response, though each forbids that, shows it at no other name", async () => {
    await post("passes", first)
    expect(edge.kept()?.fields.join("\n")).toMatch(/cache-control\n(?:private, )?no-store/i)
    const { text } = await post("caches", second)
    expect(text).toMatch(/^HTTP\/1\.1 50\d /)
    expectTellsNothing(text, second.machine)
    expect(text).not.toContain(first.name)
  })

  it("that keeps a response can show it again at its own name, while the ticket lives", async () => {
    const { token } = await post("passes", first)
    const { text } = await post("caches", first)
    expect(text).toContain(`${first.name} ${token}`)
  })

  it("that delays a response delays no other, and gives it to nobody else", async () => {
    const slow = post("delays", first)
    await expect.poll(() => edge.delayed()).toBe(1)
    const meanwhile = await post("passes", second)
    expect(meanwhile.text).toContain(`${second.name} ${meanwhile.token}`)
    const next = await post("passes", first)
    expect(next.text).toContain(`${first.name} ${next.token}`)
    edge.release()
    const { text, token } = await slow
    expect(text).toContain(`${first.name} ${token}`)
  })

  it("that passes requests again harms none after that", async () => {
    const { text, token } = await post("passes", second)
    expect(text).toContain(`${second.name} ${token}`)
    expect(chain.processes.filter((process) => !process.alive())).toEqual([])
  })
})
