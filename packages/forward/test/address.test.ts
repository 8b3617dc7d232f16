import * as fc from "fast-check"
import ipaddr from "ipaddr.js"
import { describe, expect, it } from "vitest"
import { addressChecker, canonicalAddress, cidrMatcher, hostChecker } from "../src/internal.ts"

const check = addressChecker({})

describe("without allowCidrs", () => {
  it.each([
    "8.8.8.8",
    "1.1.1.1",
    "172.15.255.255",
    "172.32.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "192.167.255.255",
    "2606:4700::1111",
    "2a00:1450:4001:800::200e",
    "2A00:1450:4001:0800:0000:0000:0000:200E",
    "134744072", // 8.8.8.8
  ])("%s may be connected to", (ip) => expect(check(ip)).toBeUndefined())

  it.each([
    ["0.0.0.0", "unspecified"],
    ["0.1.2.3", "unspecified"],
    ["10.0.0.1", "private"],
    ["10.255.255.255", "private"],
    ["172.16.0.0", "private"],
    ["172.31.255.255", "private"],
    ["192.168.1.1", "private"],
    ["100.64.0.1", "carrier-grade NAT"],
    ["100.127.255.255", "carrier-grade NAT"],
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["169.254.169.254", "link-local"],
    ["192.0.0.192", "reserved"],
    ["192.0.2.1", "reserved"],
    ["192.88.99.1", "reserved"],
    ["198.18.0.1", "reserved"],
    ["198.51.100.1", "reserved"],
    ["203.0.113.1", "reserved"],
    ["224.0.0.1", "multicast"],
    ["239.255.255.255", "multicast"],
    ["240.0.0.1", "reserved"],
    ["255.255.255.255", "broadcast"],
    ["168.63.129.16", "cloud metadata"],
    ["::", "unspecified"],
    ["::1", "loopback"],
    ["0:0:0:0:0:0:0:1", "loopback"],
    ["::7f00:1", "reserved"],
    ["::127.0.0.1", "reserved"],
    ["::ffff:127.0.0.1", "IPv4-mapped"],
    ["::ffff:7f00:1", "IPv4-mapped"],
    ["0:0:0:0:0:ffff:7f00:0001", "IPv4-mapped"],
    ["::ffff:8.8.8.8", "IPv4-mapped"],
    ["::ffff:0:7f00:1", "IPv4-translated"],
    ["64:ff9b::7f00:1", "NAT64"],
    ["64:ff9b::10.0.0.1", "NAT64"],
    ["64:ff9b:1::1", "NAT64"],
    ["2002:7f00:1::", "6to4"],
    ["2001::1", "Teredo"],
    ["100::1", "reserved"],
    ["2001:db8::1", "reserved"],
    ["2001:2::1", "reserved"],
    ["3fff::1", "reserved"],
    ["5f00::1", "reserved"],
    ["4000::1", "reserved"],
    ["fc00::1", "unique local"],
    ["fd00:ec2::254", "unique local"],
    ["fe80::1", "link-local"],
    ["fec0::1", "reserved"],
    ["ff02::1", "multicast"],
    // The same by other notations, as URL parsers and resolvers read them.
    ["0x7f.1", "loopback"],
    ["0x7f000001", "loopback"],
    ["2130706433", "loopback"],
    ["127.1", "loopback"],
    ["0xa.0.0.1", "private"],
    ["0", "unspecified"],
  ])("%s may not: %s", (ip, kind) => expect(check(ip)).toContain(`is not a public address (${kind})`))

  it.each(["", "localhost", "example.com", "010.8.8.8", "8.8.8.08", "0177.0.0.1", "fe80::1%eth0", "2606:4700::1%1"])(
    "%s is no address, or an ambiguous one",
    (ip) => expect(check(ip)).toMatch(/is not an IP address/),
  )

  it.each(["8.8.8.8.8", "8.8.8.256", "[::1]", " 8.8.8.8", "8.8.8.8\n", "1e3", "::ffff:8.8.8.8.8", ":::", "8.8.8.8/32"])(
    "%j is no address",
    (ip) => expect(check(ip)).toMatch(/is not an IP address/),
  )
})

it("an embedded IPv4 address decides nothing: of any private one, every IPv6 form is refused", () => {
  const byte = fc.integer({ min: 0, max: 255 })
  const hex = (a: number, b: number) => ((a << 8) | b).toString(16)
  fc.assert(
    fc.property(fc.constantFrom([10], [127], [192, 168], [169, 254], [172, 16]), byte, byte, byte, (net, b, c, d) => {
      const [p, q, r, s] = [...net, b, c, d] as [number, number, number, number]
      const low = `${hex(p, q)}:${hex(r, s)}`
      for (const ip of [`${p}.${q}.${r}.${s}`, `::ffff:${low}`, `::${low}`, `64:ff9b::${low}`, `2002:${low}::1`]) {
        if (check(ip) === undefined) return false
      }
      return true
    }),
    { numRuns: 200 },
  )
})

it("gives the verdict of a well-kept library for every address, and calls it by the same text", () => {
  const byte = fc.integer({ min: 0, max: 255 })
  const edges = fc.constantFrom(
    "2001:",
    "2002:",
    "64:ff9b:",
    "fe80:",
    "fec0:",
    "3fff:",
    "2620:4f:8000:",
    "2001:db8:",
    "::",
    "ff02:",
  )
  const near = fc
    .tuple(
      edges,
      fc.integer({ min: 0, max: 0xffff }).map((low) => low.toString(16)),
    )
    .map(([from, low]) => `${from.replace(/:$/, "")}::${low}`)
  const special = fc
    .tuple(fc.constantFrom(0, 10, 100, 127, 169, 172, 192, 198, 203, 224, 240, 255), byte, byte, byte)
    .map((each) => each.join("."))
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), near, special), (text) => {
      // ipaddr.js takes the deprecated `::192.0.2.1` (RFC 4291 §2.5.5.1) for `::ffff:192.0.2.1`; no other reader does.
      if (!ipaddr.isValid(text) || /^::(?:\d+\.){3}\d+$/.test(text)) return
      const known = ipaddr.process(text)
      if (known.toString() === "168.63.129.16") return
      expect(canonicalAddress(text)).toBe(known.toString())
      const isPublic = known.range() === "unicast" && (!(known instanceof ipaddr.IPv6) || known.parts[0]! >> 13 === 1)
      const isMapped = text.includes(":") && known.kind() === "ipv4"
      expect(check(text) === undefined, text).toBe(isPublic && !isMapped)
    }),
    { numRuns: 3_000 },
  )
})

describe("allowCidrs", () => {
  const allow = (...allowCidrs: string[]) => addressChecker({ allowCidrs })

  it("allows its ranges and nothing else", () => {
    const checked = allow("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")
    expect(["10.1.2.3", "fd12::1", "127.0.0.1", "0x7f.1", "8.8.8.8"].map(checked)).toEqual(Array(5).fill(undefined))
    for (const ip of ["192.168.0.1", "fc00::1", "127.0.0.2", "::1", "11.0.0.1%1"]) expect(checked(ip)).toBeDefined()
  })

  it("allows an IPv4-mapped address by an IPv4 range, never by an IPv6 one", () => {
    expect(allow("10.0.0.0/8")("::ffff:10.0.0.1")).toBeUndefined()
    expect(allow("10.0.0.0/8")("::ffff:127.0.0.1")).toBeDefined()
    expect(allow("::/0")("::ffff:127.0.0.1")).toBeDefined()
    expect(allow("::/0")("64:ff9b::1")).toBeUndefined()
    expect(allow("8.8.8.0/24")("::ffff:8.8.8.8")).toBeUndefined()
  })

  it.each([
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "/8",
    "fd00::/129",
    "::ffff:10.0.0.0/104",
    "a/8",
    "",
  ])("refuses %j when it is given", (cidr) => expect(() => allow(cidr)).toThrow(/^allowCidrs: .* is not a range/))
})

it("this host's own addresses are refused, unless a range holds them", () => {
  const own = () => ["8.8.8.8", "2606:4700:0::1"]
  expect(addressChecker({}, own)("8.8.8.8")).toBe("8.8.8.8 is an address of this host")
  expect(addressChecker({}, own)("2606:4700::1")).toBe("2606:4700::1 is an address of this host")
  expect(addressChecker({}, own)("8.8.4.4")).toBeUndefined()
  expect(addressChecker({ allowCidrs: ["8.8.8.8/32"] }, own)("8.8.8.8")).toBeUndefined()
})

describe("allowHosts", () => {
  const hosts = hostChecker({ allowHosts: ["App.example.com", "*.wild.example"], allowCidrs: ["10.0.0.0/8"] })

  it.each(["app.example.com", "APP.EXAMPLE.COM", "app.example.com.", "a.wild.example", "a.b.wild.example"])(
    "allows the name %s",
    (host) => expect(hosts(host)).toBeUndefined(),
  )

  it.each(["example.com", "xapp.example.com", "wild.example", "evilwild.example", ".wild.example", "localhost", ""])(
    "does not allow the name %j",
    (host) => expect(hosts(host)).toMatch(/is not in allowHosts$/),
  )

  it.each(["10.0.0.1", "0xa.1", "8.8.8.8", "[2606:4700::1]"])("leaves the address %s to its own check", (host) =>
    expect(hosts(host)).toBeUndefined(),
  )

  it.each(["127.0.0.1", "[::1]", "::1", "2130706433", "127.1", "127.0.0.1.", "[::ffff:7f00:1]", "a.0x7f"])(
    "does not allow the address %s",
    (host) => expect(hosts(host)).toMatch(/address/),
  )

  it.each(["*", "*.", "*a.example", "a.*.example", "a b", "10.0.0.1", "a:80", "", "[::1]"])(
    "refuses %j when it is given",
    (name) => expect(() => hostChecker({ allowHosts: [name] })).toThrow(/^allowHosts: .* is not a hostname/),
  )

  it("is empty by default: no name is allowed", () => expect(hostChecker({})("example.com")).toBeDefined())
})

describe("a list of ranges", () => {
  const isIn = cidrMatcher("trustedProxies", ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"])

  it.each([
    ["10.0.0.0", true],
    ["10.255.255.255", true],
    ["11.0.0.0", false],
    ["192.0.2.1", true],
    ["192.0.2.2", false],
    // As a socket on :: shows an IPv4 peer.
    ["::ffff:10.1.2.3", true],
    ["::FFFF:0a01:0203", true],
    ["::ffff:11.1.2.3", false],
    ["2001:db8:ffff::1", true],
    ["2001:DB8::1", true],
    ["2001:db9::1", false],
    ["::1", true],
    ["::2", false],
    ["", false],
    ["localhost", false],
    ["10.0.0.1:80", false],
    ["010.0.0.1", false],
    ["fe80::1%eth0", false],
  ])("holds %j: %s", (ip, held) => expect(isIn(ip)).toBe(held))

  it("holds an IPv4 address by its own ranges only", () => {
    const isIn = cidrMatcher("ranges", ["::/1"])
    expect([isIn("::1"), isIn("::ffff:10.0.0.1"), isIn("10.0.0.1")]).toEqual([true, false, false])
  })

  it.each([
    "",
    "10.0.0.1",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
    "10.0.0.0/ 8",
    "010.0.0.0/8",
    "::1/129",
    "::ffff:10.0.0.0/104",
    "fe80::%eth0/10",
    "example.com/8",
    "private",
  ])("cannot be %j", (cidr) => {
    expect(() => cidrMatcher("trustedProxies", [cidr])).toThrow(
      `trustedProxies: ${JSON.stringify(cidr)} is not a range such as 10.0.0.0/8, 192.0.2.1/32 or fd00::/8`,
    )
  })

  it.each([
    ["10.0.0.5/8", "10.0.0.0/8", "10.0.0.5/32"],
    ["192.0.2.129/25", "192.0.2.128/25", "192.0.2.129/32"],
    ["10.255.0.0/9", "10.128.0.0/9", "10.255.0.0/32"],
    ["2001:db8::1/64", "2001:db8::/64", "2001:db8::1/128"],
  ])("cannot be %s, which may mean %s or %s", (cidr, whole, one) => {
    const [, bits] = cidr.split("/")
    const message = `"${cidr}" has bits set beyond /${bits}: the range is ${whole}, the address ${one}`
    expect(() => cidrMatcher("trustedProxies", [cidr])).toThrow(`trustedProxies: ${message}`)
    expect(() => addressChecker({ allowCidrs: [cidr] })).toThrow(`allowCidrs: ${message}`)
    for (const range of [whole, one]) expect(cidrMatcher("trustedProxies", [range])(one.split("/")[0]!)).toBe(true)
  })

  it.each(["0.0.0.0/0", "::/0"])("cannot be %s, which is everybody", (cidr) => {
    expect(() => cidrMatcher("trustedProxies", [cidr])).toThrow(`trustedProxies: "${cidr}" holds every address`)
  })
})

describe("an address in one notation", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["0.0.0.0", "0.0.0.0"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8::0001", "2001:db8::1"],
    ["::", "::"],
    ["", undefined],
    ["192.0.2", undefined],
    ["192.0.2.1.", undefined],
    ["192.0.2.1.1", undefined],
    ["192.0.2.256", undefined],
    ["0064:0ff9b::1", undefined],
    ["0064:ff9b::0001", "64:ff9b::1"],
    ["192.0.2.01", undefined],
    ["192.00.2.1", undefined],
    ["::ffff:0192.0.2.1", undefined],
    ["0xc0.0.2.1", undefined],
    ["3221225985", undefined],
    [" 192.0.2.1", undefined],
    ["192.0.2.1:80", undefined],
    ["[::1]", undefined],
    ["fe80::1%eth0", undefined],
    ["::ffff:192.0.2.01", undefined],
    ["1::2::3", undefined],
    ["unknown", undefined],
    ["_hidden", undefined],
  ])("%j is %j", (text, address) => expect(canonicalAddress(text)).toBe(address))

  it("is the same for every notation, and itself one", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (ip) => {
        const address = canonicalAddress(ip)
        expect(canonicalAddress(address!)).toBe(address)
        expect(canonicalAddress(ip.toUpperCase())).toBe(address)
      }),
    )
  })

  it("never throws", () => {
    const text = fc.string({ unit: fc.constantFrom(..."0123456789abcdef:.%[]/x ".split("")) })
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (text) => {
        expect(["string", "undefined"]).toContain(typeof canonicalAddress(text))
      }),
    )
  })
})

it("reads no text that is longer than any address, however its writer repeats the marks of one", () => {
  expect(canonicalAddress("1111:2222:3333:4444:5555:6666:255.255.255.255")).toBe(
    "1111:2222:3333:4444:5555:6666:ffff:ffff",
  )
  // Without a bound 20 s: each of the colons is looked at once for each one before it.
  expect(canonicalAddress(`${":".repeat(2 ** 17)}x`)).toBeUndefined()
  expect(check(`0x${"0".repeat(80)}7f000001`)).toMatch(/is not an IP address in its usual form$/)
})
