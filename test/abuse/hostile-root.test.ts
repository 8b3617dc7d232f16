import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startSoakChain } from "../../scripts/soak/chain.ts"
import type { SoakChain } from "../../scripts/soak/chain.ts"
import { DOMAIN, tenantsOf, waysIn } from "../../scripts/soak/tenant.ts"
import type { Tenant } from "../../scripts/soak/tenant.ts"
import { tokenFor } from "../../scripts/soak/token.ts"
import { clientsOf } from "./asking.ts"
import type { Asking } from "./asking.ts"
import { expectTellsNothing } from "./generated-response.ts"
import { hostileResponses, SMUGGLED } from "./hostile-root.ts"

/** 0 and 2 are honest, 1 has a hostile app, 3 a hostile root. */
const tenants = tenantsOf(4, false)
let chain: SoakChain
let clients: ReturnType<typeof clientsOf>
let sequence = 0

const request = (tenant: Tenant, token: string, method = "GET", more = "", body = ""): string =>
  `${method} / HTTP/1.1\r\nHost: ${chain.appPort}__${tenant.name}.${DOMAIN}\r\nX-Token: ${token}\r\n${more}\r\n${body}`

/** An honest tenant's request on the same connection, or on a new one if that is closed, has its own response and nothing else. */
const expectUnharmed = async (client: Asking, tenant: Tenant): Promise<void> => {
  const token = tokenFor(tenant.index, ++sequence)
  let other = client.ended ? clients.open() : client
  let text = await other.ask(request(tenant, token))
  if (text === "" && other.ended) {
    // The router closed the connection in the meantime, without a byte: a client may send again.
    other = clients.open()
    text = await other.ask(request(tenant, token))
  }
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(text.endsWith(`${tenant.name} ${token}`)).toBe(true)
  expect(text).not.toContain(SMUGGLED)
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  other.close()
}

const cases = hostileResponses.flatMap(({ name, late }, number) =>
  [tenants[1]!, tenants[3]!].map((tenant) => ({ name, late, number, tenant, role: tenant.role })),
)

/** By one of them with each method: what a machine may do to a connection does not depend on how its client came in. */
const methodsOf = { sockets: ["GET", "POST", "HEAD"], http2: ["POST"], mount: ["GET"] } as const

describe.each(waysIn)("a hostile machine harms its own project only, where requests come by %s", (by) => {
  beforeAll(async () => {
    chain = await startSoakChain(tenants, 10_000, { by })
    clients = clientsOf(chain)
  })
  afterAll(async () => {
    clients.close()
    await chain[Symbol.asyncDispose]()
  })
  it.each(cases)("$role: $name", async ({ number, late, tenant }) => {
    for (const method of methodsOf[by]) {
      const client = clients.open()
      const token = tokenFor(tenant.index, ++sequence)
      const body = method === "POST" ? "body" : ""
      const more = `X-Hostile: ${number}\r\n${method === "POST" ? "Content-Length: 4\r\n" : ""}`
      const text = await client.ask(request(tenant, token, method, more, body), { bodiless: method === "HEAD" })
      // Nothing that nobody asked for, and nothing of another tenant.
      expect(late !== true && text.includes(SMUGGLED)).toBe(false)
      expect(tenants.filter((other) => other !== tenant && text.includes(`${other.name} `))).toEqual([])
      expect(text).not.toMatch(/^x-iterate-proxy-(?:stamp|ticket|target|fwd|via)/im)
      // A failure is one of ours, typed.
      if (/^HTTP\/1\.1 50\d/.test(text)) expectTellsNothing(text, tenant.machine)
      const next = clients.open()
      const nextToken = tokenFor(tenant.index, ++sequence)
      const plain = `X-Hostile: ${hostileResponses.length - 1}\r\n`
      const nextText = await next.ask(request(tenant, nextToken, "GET", plain))
      // Nor does its own next visitor get what was left over.
      expect(late === true || nextText.includes(nextToken)).toBe(true)
      next.close()
      await expectUnharmed(client, tenants[0]!)
      await expectUnharmed(clients.open(), tenants[2]!)
    }
    expect(chain.processes.filter((process) => !process.alive())).toEqual([])
  })

  it("sends no request of one tenant to another, and no post twice", async () => {
    expect(await chain.appsReport()).toMatchObject({ strayed: 0, repeated: 0 })
  })
})
