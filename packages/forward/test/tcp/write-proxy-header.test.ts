import * as fc from "fast-check"
import { expect, it } from "vitest"
import { canonicalAddress } from "../../src/address.ts"
import { readProxyHeader } from "../../src/sockets/proxy-protocol/proxy-header.ts"
import { writeProxyHeader } from "../../src/sockets/proxy-protocol/write-proxy-header.ts"

const from = (sourceAddress: string | undefined, destinationAddress: string | undefined) => ({
  sourceAddress,
  sourcePort: 56_324,
  destinationAddress,
  destinationPort: 443,
})

it.each([
  [from("192.0.2.1", "198.51.100.1"), "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
  [from("2001:DB8::1", "::1"), "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"],
  [from("192.0.2.1", "2001:db8::1"), "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 56324 443\r\n"],
  [from("::ffff:192.0.2.1", "198.51.100.1"), "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"],
  [from(undefined, "198.51.100.1"), "PROXY UNKNOWN\r\n"],
  [from("", ""), "PROXY UNKNOWN\r\n"],
])("version 1 of %j", (connection, text) => expect(writeProxyHeader(1, connection).toString()).toBe(text))

it("version 2 is signature, command, family, addresses and ports", () => {
  const header = writeProxyHeader(2, from("192.0.2.1", "198.51.100.1"))
  expect(header.toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000cc0000201c6336401dc0401bb")
  expect(writeProxyHeader(2, from(undefined, undefined)).toString("hex")).toBe("0d0a0d0a000d0a515549540a21000000")
})

it("what is written of any two addresses is read again, and ends where it ends", () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(address, address, fc.constantFrom(1 as const, 2 as const), (source, destination, version) => {
      const known = canonicalAddress(source)
      const header = writeProxyHeader(version, from(source, destination))
      const read = readProxyHeader(Buffer.concat([header, Buffer.from("x")]))
      const isKnown = known !== undefined && canonicalAddress(destination) !== undefined
      expect(read).toEqual({ length: header.length, client: { address: isKnown ? known : "", encrypted: false } })
    }),
  )
})
