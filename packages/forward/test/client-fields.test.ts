import { describe, expect, it } from "vitest"
import { clientFields, publicPort } from "../src/internal.ts"
import type { ClientAndUrl } from "../src/client-fields.ts"

const client: ClientAndUrl = { host: "app.example.com", scheme: "https", clientAddress: "192.0.2.1" }
const fieldsOf = (more: Partial<ClientAndUrl>, about: "none" | "scheme" | "all" = "all") => {
  const list = clientFields({ ...client, ...more }, about)
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), list[at + 1]]] : [])))
}

describe("the fields about a client and what it asked for", () => {
  it.each<[Partial<ClientAndUrl>, string]>([
    [{}, "for=192.0.2.1;host=app.example.com;proto=https"],
    [{ clientAddress: "2001:db8::1" }, 'for="[2001:db8::1]";host=app.example.com;proto=https'],
    [{ clientAddress: undefined }, "host=app.example.com;proto=https"],
    [{ host: "a.test:8443" }, 'for=192.0.2.1;host="a.test:8443";proto=https'],
    [{ host: "[::1]:80", scheme: "http" }, 'for=192.0.2.1;host="[::1]:80";proto=http'],
    // HTTP/1.0 without a Host.
    [{ host: "" }, 'for=192.0.2.1;host="";proto=https'],
  ])("of %j quote what is no token: %s (RFC 7239 §4)", (more, forwarded) => {
    expect(fieldsOf(more)["forwarded"]).toBe(forwarded)
  })

  it("say as much of the URL as they are to", () => {
    const address = { "x-forwarded-for": "192.0.2.1" }
    expect(fieldsOf({}, "none")).toEqual(address)
    expect(fieldsOf({}, "scheme")).toEqual({ ...address, "x-forwarded-proto": "https" })
    expect(fieldsOf({ host: "a.test:8443" })).toMatchObject({
      "x-forwarded-host": "a.test:8443",
      "x-forwarded-port": "8443",
    })
    expect(fieldsOf({ clientAddress: undefined }, "none")).toEqual({})
  })

  it("name the scheme's own port where the authority has none", () => {
    const ports = ["a.test", "[2001:db8::1]", "a.test:8443"].flatMap((host) =>
      (["http", "https"] as const).map((scheme) => publicPort({ host, scheme })),
    )
    expect(ports).toEqual([80, 443, 80, 443, 8443, 8443])
  })
})
