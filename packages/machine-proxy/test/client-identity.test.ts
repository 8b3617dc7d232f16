import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { describe, expect, it } from "vitest"
import { forwardedAuthority, forwardedFields } from "../src/client-identity.ts"

const fieldsOf = (connection: Pick<IncomingRequest, "remoteAddress" | "encrypted">, host: string) => {
  const list = forwardedFields(connection as IncomingRequest, host)
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), list[at + 1]]] : [])))
}

describe("the fields about a client that has no ticket", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1", "for=192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1", "for=192.0.2.1"],
    ["2001:db8::1", "2001:db8::1", 'for="[2001:db8::1]"'],
    ["", undefined, "for=unknown"],
  ])("name the peer %j", (remoteAddress, forwardedFor, node) => {
    expect(fieldsOf({ remoteAddress, encrypted: false }, "app.example.com")).toEqual({
      "x-forwarded-host": "app.example.com",
      "x-forwarded-proto": "http",
      ...(forwardedFor === undefined ? {} : { "x-forwarded-for": forwardedFor }),
      forwarded: `${node};host="app.example.com";proto=http`,
    })
  })

  it("name the scheme of the connection, and quote the host (RFC 9110 §5.6.4)", () => {
    expect(fieldsOf({ remoteAddress: "192.0.2.1", encrypted: true }, 'a"b\\c')).toMatchObject({
      "x-forwarded-proto": "https",
      forwarded: 'for=192.0.2.1;host="a\\"b\\\\c";proto=https',
    })
  })
})

describe("the authority that the router reports", () => {
  it.each(["app.example.com", "4096__app.example.com:8787", "a:1", "a:65535", "a".repeat(253)])("is %s", (value) => {
    expect(forwardedAuthority(["X-Forwarded-Host", value])).toBe(value)
  })

  it.each(["", "a:0", "a:080", "a:65536", "a:99999", "a/b", "a b", "a@b", "a,b", "[::1]", ":80", "a".repeat(254)])(
    "is not %j",
    (value) => {
      expect(forwardedAuthority(["X-Forwarded-Host", value])).toBeUndefined()
    },
  )

  it("is undefined without the field", () => {
    expect(forwardedAuthority(["Host", "a"])).toBeUndefined()
  })
})
