/** `allowCidrs`: addresses in every notation, and clients that say they are another. */
import { afterAll, describe, expect, it } from "vitest"
import { allowCidrs } from "../../src/policies.ts"
import { startRawHost } from "./raw-host.ts"
import { toMachine, visits } from "./visit.ts"

const from = async (
  clientAddress: string | undefined,
  cidrs: readonly string[],
  headers: Record<string, string> = {},
) => {
  const { visit, resolved } = visits(
    [allowCidrs()],
    { "p:misha": toMachine({ allowCidrs: cidrs }) },
    { clientAddress: () => clientAddress },
  )
  const { status } = await visit("https://misha.iterate.app/", { headers })
  expect(resolved()).toBe(status === 200 ? 1 : 0)
  return status
}

describe("a client", () => {
  it.each<[string | undefined, readonly string[], number]>([
    ["10.1.2.3", ["10.0.0.0/8"], 200],
    ["11.1.2.3", ["10.0.0.0/8"], 403],
    ["192.0.2.7", ["10.0.0.0/8", "192.0.2.7/32"], 200],
    ["192.0.2.8", ["10.0.0.0/8", "192.0.2.7/32"], 403],
    ["192.0.2.127", ["192.0.2.0/25"], 200],
    ["192.0.2.128", ["192.0.2.0/25"], 403],
    ["::ffff:10.1.2.3", ["10.0.0.0/8"], 200],
    ["::ffff:0a01:0203", ["10.0.0.0/8"], 200],
    ["::10.1.2.3", ["10.0.0.0/8"], 403],
    ["64:ff9b::10.1.2.3", ["10.0.0.0/8"], 403],
    ["2002:0a01:0203::", ["10.0.0.0/8"], 403],
    ["2001:db8::1", ["2001:db8::/32"], 200],
    ["2001:DB8:0:0::1", ["2001:db8::/32"], 200],
    ["2001:db9::1", ["2001:db8::/32"], 403],
    ["fe80::1%eth0", ["fe80::/64"], 200],
    ["fe80::1%10.0.0.1", ["10.0.0.0/8"], 403],
    ["10.1.2.3", ["2001:db8::/32"], 403],
    ["2001:db8::1", ["10.0.0.0/8"], 403],
    // What two readers could read differently is nobody's address.
    ["010.1.2.3", ["10.0.0.0/8", "8.0.0.0/8"], 403],
    ["10.1.2.3:80", ["10.0.0.0/8"], 403],
    ["[2001:db8::1]", ["2001:db8::/32"], 403],
    ["10.1.2.3, 192.0.2.7", ["10.0.0.0/8"], 403],
    ["10.1.2.3 ", ["10.0.0.0/8"], 403],
    ["0x0a010203", ["10.0.0.0/8"], 403],
    ["167838211", ["10.0.0.0/8"], 403],
    ["10.1", ["10.0.0.0/8"], 403],
    ["localhost", ["127.0.0.0/8"], 403],
    ["unknown", ["10.0.0.0/8"], 403],
    ["", ["10.0.0.0/8"], 403],
    [undefined, ["10.0.0.0/8"], 403],
    ["10.1.2.3", [], 403],
  ])("at %j, of %j, gets %s", async (address, cidrs, status) => {
    expect(await from(address, cidrs)).toBe(status)
  })

  it.each([
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "x-client-ip",
    "client-ip",
  ])("cannot come from elsewhere by a field: %s", async (name) => {
    expect(
      await from("192.0.2.7", ["10.0.0.0/8"], { [name]: name === "forwarded" ? "for=10.1.2.3" : "10.1.2.3" }),
    ).toBe(403)
  })
})

describe("the setting", () => {
  it("is the port's under each of its names, and no other port's", async () => {
    const { visit } = visits(
      [allowCidrs()],
      { "p:misha": toMachine({ ports: { 8080: { allowCidrs: ["10.0.0.0/8"] } } }) },
      { clientAddress: () => "192.0.2.7" },
    )
    for (const name of ["8080__misha", "8080--misha", "8080.misha"])
      expect((await visit(`https://${name}.iterate.app/`)).status).toBe(403)
    expect((await visit("https://misha.iterate.app/")).status).toBe(200)
  })

  it("of the next record counts at once", async () => {
    const { visit, routes } = visits(
      [allowCidrs()],
      { "p:misha": toMachine({ allowCidrs: ["192.0.2.0/24"] }) },
      { clientAddress: () => "192.0.2.7" },
    )
    expect((await visit("https://misha.iterate.app/")).status).toBe(200)
    routes.attach("p:misha", toMachine({ allowCidrs: ["10.0.0.0/8"] }))
    expect((await visit("https://misha.iterate.app/")).status).toBe(403)
  })

  it("that is invalid closes the port, whatever else is in the list", async () => {
    for (const wrong of ["10.0.0.1/8", "0.0.0.0/0", "192.0.2.0/33", "all"]) {
      const { visit, routes } = visits([allowCidrs()], {}, { clientAddress: () => "192.0.2.7" })
      routes.attach("p:misha", toMachine({ allowCidrs: ["192.0.2.0/24", wrong] }))
      expect((await visit("https://misha.iterate.app/")).code).toBe("ROUTE_INVALID")
    }
  })

  it("closes the port without the policy that carries it out", async () => {
    const { visit } = visits(
      [],
      { "p:misha": toMachine({ allowCidrs: ["192.0.2.0/24"] }) },
      { clientAddress: () => "192.0.2.7" },
    )
    expect((await visit("https://misha.iterate.app/")).code).toBe("NOT_SUPPORTED")
  })
})

describe("on sockets", async () => {
  const inside = await startRawHost([allowCidrs()], { allowCidrs: ["127.0.0.0/8"] })
  const outside = await startRawHost([allowCidrs()], { allowCidrs: ["10.0.0.0/8"] })
  afterAll(() => Promise.all([inside.close(), outside.close()]))

  it("the client is the peer of the connection", async () => {
    const get = ["GET / HTTP/1.1", "Host: misha.iterate.app", "X-Forwarded-For: 10.1.2.3"]
    expect([await inside.send(...get), await outside.send(...get)]).toEqual(["200", "403 ACCESS_DENIED"])
  })
})
