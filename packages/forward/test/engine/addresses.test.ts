import type { LookupAddress } from "node:dns"
import { describe, expect, it } from "vitest"
import { checkedLookup } from "../../src/sockets/connection/checked-lookup.ts"
import type { AddressRule, SendResult, UpstreamAddress } from "../../src/sockets.ts"
import * as h from "./harness.ts"

const send = async (origin: UpstreamAddress): Promise<SendResult> => {
  const results: SendResult[] = []
  const front = await h.listen(async (request) => {
    results.push(await request.send({ ...h.to(0), origin }))
    return { status: 204, headers: [] }
  })
  const client = await front.connect()
  client.send(h.get())
  await client.until("\r\n\r\n")
  return results[0]!
}

describe("an upstream address with a rule", () => {
  const loopback: AddressRule = { allowCidrs: ["127.0.0.0/8", "::1/128"] }

  it.each(["127.0.0.1", "localhost", "2130706433", "0x7f.1"])(
    "is connected to when it is allowed: %s",
    async (host) => {
      const { port } = await h.respondingApp()
      expect(await send({ pool: "a", host, port, addresses: loopback })).toMatchObject({ head: { status: 200 } })
    },
  )

  it.each(["127.0.0.1", "localhost", "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1", "loopback"])(
    "is not connected to when it is not: %s",
    async (host) => {
      const app = await h.respondingApp()
      for (const tls of [undefined, {}]) {
        const result = await send({ pool: "a", host, port: app.port, addresses: {}, ...(tls && { tls }) })
        expect(result).toMatchObject({ error: { tag: "ProviderUnavailable", sent: "no" } })
        // `loopback` is a name like any other here, and nothing has that name.
        const code = "error" in result ? (result.error.cause as NodeJS.ErrnoException).code : undefined
        expect(code).toMatch(host === "loopback" ? /^E/ : /^ADDRESS_NOT_ALLOWED$/)
      }
      expect(app.connections).toHaveLength(0)
    },
  )

  it("has no name that allowHosts does not list", async () => {
    const app = await h.respondingApp()
    const addresses = { ...loopback, allowHosts: ["app.example"] }
    const origin = { pool: "a", host: "localhost", port: app.port, addresses }
    expect(await send(origin)).toMatchObject({ error: { cause: { message: `"localhost" is not in allowHosts` } } })
    const listed = { ...origin, addresses: { ...loopback, allowHosts: ["localhost"] } }
    expect(await send(listed)).toMatchObject({ head: { status: 200 } })
  })

  it("never has a connection that was opened without its rule", async () => {
    const app = await h.respondingApp()
    const directives = [{}, { addresses: {} }].map((more) =>
      h.to(app.port, { origin: { pool: "one", host: "127.0.0.1", port: app.port, ...more } }),
    )
    const front = await h.listen(({ head }) => directives[Number(head.target[1])]!)
    const client = await front.connect()
    client.send(h.get("/0"))
    await client.until("ok")
    client.send(h.get("/1"))
    expect(await client.until("PROVIDER_UNAVAILABLE")).toMatch(/^HTTP\/1\.1 502 /)
  })
})

describe("a checked look-up", () => {
  type Found = { error: NodeJS.ErrnoException | null; address: string | LookupAddress[] }
  const look = (rule: AddressRule, answers: string[][], options: { all?: boolean } = { all: true }) => {
    const asked: string[] = []
    const lookup = checkedLookup(rule, (name, _options, done) => {
      asked.push(name)
      const found = answers[asked.length - 1] ?? []
      done(
        null,
        found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      )
    })
    const ask = () =>
      new Promise<Found>((resolve) => {
        lookup("app.example", options, (error, address) => resolve({ error, address }))
      })
    return { asked, ask }
  }

  it("resolves once and gives what it has checked", async () => {
    const { asked, ask } = look({}, [["8.8.8.8", "2606:4700::1"], ["127.0.0.1"]])
    expect(await ask()).toEqual({
      error: null,
      address: [
        { address: "8.8.8.8", family: 4 },
        { address: "2606:4700::1", family: 6 },
      ],
    })
    expect(asked).toEqual(["app.example"])
  })

  it("gives one address to who asks for one", async () => {
    expect(await look({}, [["8.8.8.8", "1.1.1.1"]], {}).ask()).toEqual({ error: null, address: "8.8.8.8" })
  })

  it.each([
    [["127.0.0.1"]],
    [["8.8.8.8", "10.0.0.1"]],
    [["2606:4700::1", "::ffff:10.0.0.1"]],
    [["8.8.8.8", "fe80::1"]],
  ])("refuses all addresses for one that is not allowed: %j", async (addresses) => {
    const { error, address } = await look({}, [addresses]).ask()
    expect(error?.code).toBe("ADDRESS_NOT_ALLOWED")
    expect(address).toEqual([])
  })

  it("checks every answer, the second one, too", async () => {
    const { ask } = look({}, [["8.8.8.8"], ["169.254.169.254"]])
    expect((await ask()).error).toBeNull()
    expect((await ask()).error?.message).toBe("169.254.169.254 is not a public address (link-local)")
  })
})
