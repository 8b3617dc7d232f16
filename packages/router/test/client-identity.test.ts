import type { HeaderList } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { forwardedHeaderNames, identityReader } from "../src/hosts/client-identity.ts"
import type { ForwardedHeader } from "../src/hosts/client-identity.ts"

/** Proxies are 10.0.0.0/8 and fd00::/8. The peer of a request is one of them unless it says otherwise. */
const trustedProxies = ["10.0.0.0/8", "fd00::/8"]
const PEER = "10.0.0.1"

interface Asked {
  readonly peer?: string
  readonly host?: string
  readonly encrypted?: boolean
}

const reader = (forwardedHeaders?: readonly ForwardedHeader[]) => {
  const read = identityReader({ trustedProxies, forwardedHeaders })
  return (headers: HeaderList, { peer = PEER, host = "h.test", encrypted = false }: Asked = {}) => {
    const head = { headers, host }
    return read({
      head,
      encrypted,
      remoteAddress: peer,
      peerAddress: peer,
      localPort: 8787,
    } as unknown as IncomingRequest)
  }
}

const xForwarded = reader(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"])
const forwarded = reader(["forwarded"])

const byDefault = reader()

const lines = (name: string, values: readonly string[]) => values.flatMap((value) => [name, value])
const byFor = (...values: string[]) => xForwarded(lines("X-Forwarded-For", values)).clientAddress
const byForwarded = (...values: string[]) => forwarded(lines("Forwarded", values))

describe("the authority", () => {
  const of = (
    sent: string,
    { publicPorts, encrypted = false }: { publicPorts?: readonly number[]; encrypted?: boolean } = {},
  ) =>
    identityReader(
      undefined,
      publicPorts,
    )({
      head: { headers: [], host: sent },
      encrypted,
      remoteAddress: "192.0.2.1",
    }).host

  it.each([
    ["A.Iterate.App.:8787", "a.iterate.app:8787"],
    ["A.iterate.app.:31337", "a.iterate.app:31337", "a.iterate.app"],
    ["a.iterate.app:80", "a.iterate.app"],
    ["a.iterate.app:443", "a.iterate.app:443", "a.iterate.app"],
    ["a.iterate.app.", "a.iterate.app"],
    ["[2001:DB8::1]:31337", "[2001:db8::1]:31337", "[2001:db8::1]"],
    ["[2001:DB8::1]:8787", "[2001:db8::1]:8787"],
    ["127.0.0.1:8787", "127.0.0.1:8787"],
    ["", ""],
    // Invalid before and after.
    ["a..", "a.."],
    [".", "."],
  ])(
    "%j is %j: lower case, no root dot, no default port, and with publicPorts no other port",
    (sent, host, known = host) => {
      expect(of(sent)).toBe(host)
      expect(of(sent, { publicPorts: [8787] })).toBe(known)
    },
  )

  it("over TLS has no port 443", () => {
    expect(of("a.test:443", { encrypted: true })).toBe("a.test")
    expect(of("a.test:80", { encrypted: true })).toBe("a.test:80")
  })

  it("with publicPorts has no other port of a trusted proxy either, which may pass on its client's", () => {
    const read = identityReader({ trustedProxies, forwardedHeaders: undefined }, [8443])
    const by = (headers: HeaderList) =>
      read({ head: { headers, host: "a.test:1" }, encrypted: false, remoteAddress: PEER }).host
    expect(by(["X-Forwarded-Host", "B.test:31337"])).toBe("b.test")
    expect(by(["X-Forwarded-Host", "B.test:8443"])).toBe("b.test:8443")
    expect(by(["X-Forwarded-Port", "8443"])).toBe("a.test")
  })
})

describe("the fields that are read", () => {
  const all = ["X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "a.test"]
  const element = ["Forwarded", "for=192.0.2.9;proto=https;host=b.test"]

  it("are X-Forwarded-* by default, and Forwarded only where there is none of them", () => {
    expect(byDefault(all)).toEqual({ host: "a.test", scheme: "https", clientAddress: "192.0.2.1" })
    expect(byDefault([...all, "X-Forwarded-Port", "8443"]).host).toBe("a.test:8443")
    expect(byDefault(element)).toEqual({ host: "b.test", scheme: "https", clientAddress: "192.0.2.9" })
    expect(byDefault([...element, ...all])).toEqual(byDefault(all))
    expect(byDefault(["X-Forwarded-For", "192.0.2.1", ...element])).toEqual({
      host: "h.test",
      scheme: "http",
      clientAddress: "192.0.2.1",
    })
  })

  it("are only those that are named", () => {
    expect(reader(["x-forwarded-for"])([...all, ...element])).toEqual({
      host: "h.test",
      scheme: "http",
      clientAddress: "192.0.2.1",
    })
    expect(forwarded([...all, ...element])).toEqual(byDefault(element))
  })

  it("are nobody's but a trusted proxy's", () => {
    for (const headers of [all, element]) {
      expect(byDefault(headers, { peer: "192.0.2.7" })).toEqual({
        host: "h.test",
        scheme: "http",
        clientAddress: "192.0.2.7",
      })
    }
  })
})

describe("the client by X-Forwarded-For", () => {
  it.each([
    ["the address that the peer appended", ["192.0.2.1"], "192.0.2.1"],
    ["the peer, where it names nobody", [], PEER],
    ["never what stands to the left of the first address that is not a proxy's", ["1.1.1.1, 192.0.2.1"], "192.0.2.1"],
    ["found through other proxies", ["1.1.1.1, 192.0.2.1, 10.0.0.3,10.0.0.2"], "192.0.2.1"],
    ["found through proxies by IPv6", ["192.0.2.1, FD00::1, ::ffff:10.0.0.2, [fd00::2]:443"], "192.0.2.1"],
    ["found over several lines", ["1.1.1.1", "192.0.2.1, 10.0.0.3", "10.0.0.2"], "192.0.2.1"],
    ["the last line's, where a proxy adds a line of its own", ["1.1.1.1, 2.2.2.2", "192.0.2.1"], "192.0.2.1"],
    ["a proxy, where all are", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"],
    ["read with its port", ["192.0.2.1:4711"], "192.0.2.1"],
    ["read with an obfuscated port", ["192.0.2.1:_port"], "192.0.2.1"],
    ["IPv6", ["2001:DB8:0::1"], "2001:db8::1"],
    ["IPv6 in brackets", ["[2001:db8::1]"], "2001:db8::1"],
    ["IPv6 with a port", ["[2001:db8::1]:443"], "2001:db8::1"],
    ["IPv4 where it is written as IPv6", ["::ffff:192.0.2.1"], "192.0.2.1"],
    ["read without the white space", [" \t192.0.2.1\t "], "192.0.2.1"],
    ["unknown, where a proxy says so", ["1.1.1.1, unknown"], undefined],
    ["unknown, where it is obfuscated", ["1.1.1.1, _hidden"], undefined],
    ["unknown, where a proxy leaves it empty", ["1.1.1.1, "], undefined],
    ["unknown, where the field is empty", [""], undefined],
    ["unknown, where only the last line is", ["1.1.1.1", ""], undefined],
    ["unknown, where it is a UNIX socket", ["1.1.1.1, unix:"], undefined],
    ["unknown, where it is a name", ["1.1.1.1, client.example"], undefined],
    ["unknown behind a proxy that names nobody", ["1.1.1.1, unknown, 10.0.0.2"], undefined],
    ["unknown, where an address can be read in two ways", ["1.1.1.1, 010.0.0.2"], undefined],
    ["unknown, where it is a number", ["1.1.1.1, 167772162"], undefined],
    ["unknown, where it has a zone", ["1.1.1.1, fe80::1%eth0"], undefined],
    ["unknown, where the port is too long", ["1.1.1.1, 192.0.2.1:123456"], undefined],
    ["unknown, where a bracket is missing", ["1.1.1.1, [2001:db8::1"], undefined],
    ["unknown after more proxies than anybody has", [Array(65).fill("10.0.0.2").join(",")], undefined],
    ["a proxy after as many as may be", [Array(64).fill("10.0.0.2").join(",")], "10.0.0.2"],
  ] as const)("is %s", (_, values, address) => expect(byFor(...values)).toBe(address))

  it("is found in a field of 60 kB", () => {
    const claims = "1.1.1.1,".repeat(7_500)
    expect(byFor(`${claims} 192.0.2.1`)).toBe("192.0.2.1")
    expect(byFor(`${'"'.repeat(60_000)}, 192.0.2.1`)).toBe("192.0.2.1")
  })
})

describe("the scheme by X-Forwarded-Proto", () => {
  const by = (...values: string[]) => xForwarded(lines("X-Forwarded-Proto", values)).scheme

  it.each([
    [["https"], "https"],
    [["HTTPS"], "https"],
    [["wss"], "https"],
    [["http"], "http"],
    [["ws"], "http"],
    // What the nearest proxy wrote, whatever the client began with.
    [["https, http"], "http"],
    [["http", "https"], "https"],
    [["gopher"], "http"],
    [["https, "], "http"],
    [[""], "http"],
    [[], "http"],
  ])("of %j is %s", (values, scheme) => expect(by(...values)).toBe(scheme))

  it("can only be http for a peer over TLS, if the peer says so", () => {
    expect(xForwarded([], { encrypted: true }).scheme).toBe("https")
    expect(xForwarded(["x-forwarded-proto", "http"], { encrypted: true }).scheme).toBe("http")
  })
})

describe("the host by X-Forwarded-Host and -Port", () => {
  const by = (host: string[], port: string[] = [], asked = "h.test") =>
    xForwarded([...lines("X-Forwarded-Host", host), ...lines("X-Forwarded-Port", port)], { host: asked }).host

  it.each([
    [["a.test"], "a.test"],
    [["a.test:8443"], "a.test:8443"],
    [["[2001:db8::1]:8443"], "[2001:db8::1]:8443"],
    [["evil.test, a.test"], "a.test"],
    [["evil.test", "a.test"], "a.test"],
    // Invalid: as if it were not there.
    [["a.test/evil"], "h.test"],
    [["evil@a.test"], "h.test"],
    [["a.test:0"], "h.test"],
    [["a.test, "], "h.test"],
    [["a b"], "h.test"],
    [[""], "h.test"],
    [[], "h.test"],
  ])("of %j is %s", (values, host) => expect(by(values)).toBe(host))

  it.each([
    ["h.test", "8443", "h.test:8443"],
    ["h.test:8080", "8443", "h.test:8080"],
    ["[2001:db8::1]", "8443", "[2001:db8::1]:8443"],
    ["h.test", "443", "h.test"],
    ["h.test", "80", "h.test"],
    ["h.test", "1, 8443", "h.test:8443"],
    ["h.test", "0", "h.test"],
    ["h.test", "65536", "h.test"],
    ["h.test", "84.43", "h.test"],
    ["h.test", "", "h.test"],
    ["", "8443", ""],
  ])("of %j and port %j is %j", (asked, port, host) => expect(by([], [port], asked)).toBe(host))
})

describe("by Forwarded", () => {
  it.each([
    ["for=192.0.2.1", "192.0.2.1 http h.test"],
    ["for=192.0.2.1;proto=https;host=a.test", "192.0.2.1 https a.test"],
    ['For="[2001:DB8::1]:4711";Proto=HTTPS;Host="a.test:8443";by=_x', "2001:db8::1 https a.test:8443"],
    ['for="192.0.2.1:80" ; proto=https', "192.0.2.1 https h.test"],
    ["for=[2001:db8::1]", "2001:db8::1 http h.test"],
    [String.raw`for="192.0.2.\1"`, "192.0.2.1 http h.test"],
    ["for=1.1.1.1;proto=https;host=evil.test, for=192.0.2.1", "192.0.2.1 http h.test"],
    // What the proxy at the client saw, not the ones between.
    ["for=192.0.2.1;proto=https;host=a.test, for=10.0.0.2;proto=http;host=inner", "192.0.2.1 https a.test"],
    ["for=1.1.1.1, for=192.0.2.1;proto=https, for=fd00::1;proto=http", "192.0.2.1 https h.test"],
    ["for=10.0.0.3;proto=https;host=a.test", "10.0.0.3 https a.test"],
    // What a client begins ends neither in a quotation nor anywhere else of what the proxy wrote.
    ['for="1.1.1.1, for=192.0.2.1;proto=https', "192.0.2.1 https h.test"],
    ['evil=", for=192.0.2.1;host="a.test"', "192.0.2.1 http a.test"],
    ['x="\\", for=192.0.2.1;host="a,b"', "192.0.2.1 http h.test"],
    [String.raw`for=1.1.1.1, for=192.0.2.1;ext="a\"b, c";proto=https`, "192.0.2.1 https h.test"],
    [String.raw`for=1.1.1.1, for=192.0.2.1;ext="a\\";proto=https`, "192.0.2.1 https h.test"],
    ["for=1.1.1.1, for=unknown;proto=https", "undefined https h.test"],
    ["for=1.1.1.1, for=_gazonk;host=a.test", "undefined http a.test"],
    ["for=1.1.1.1, proto=https", "undefined https h.test"],
    ["for=1.1.1.1, for=unknown, for=10.0.0.2", "undefined http h.test"],
    // Invalid, as a whole.
    ["for=1.1.1.1, ", "undefined http h.test"],
    ["", "undefined http h.test"],
    ["192.0.2.1", "undefined http h.test"],
    ["for=192.0.2.1;for=1.1.1.1", "undefined http h.test"],
    ["for=192.0.2.1;proto=https;FOR=1.1.1.1", "undefined http h.test"],
    ['for="192.0.2.1', "undefined http h.test"],
    ['for="192.0.2.1"x', "undefined http h.test"],
    ["for = 192.0.2.1", "undefined http h.test"],
    ["for=192.0.2.1;;proto=https", "undefined http h.test"],
    ["for=192.0.2.1;proto", "undefined http h.test"],
    ["for=192.0.2.1;proto=", "undefined http h.test"],
    ["for=192.0.2.1;proto=gopher;host=a/b", "192.0.2.1 http h.test"],
  ])("%j is %s", (value, identity) => {
    const { clientAddress, scheme, host } = byForwarded(value)
    expect(`${clientAddress} ${scheme} ${host}`).toBe(identity)
  })

  it("the client is found over several lines, and is the peer where there are none", () => {
    expect(byForwarded("for=1.1.1.1", "for=192.0.2.1;proto=https", "for=10.0.0.2")).toMatchObject({
      clientAddress: "192.0.2.1",
      scheme: "https",
    })
    expect(byForwarded('for="1.1.1.1', "for=192.0.2.1").clientAddress).toBe("192.0.2.1")
    expect(byForwarded().clientAddress).toBe(PEER)
  })

  it("the client is unknown after more proxies than anybody has", () => {
    expect(byForwarded(Array(65).fill("for=10.0.0.2;host=a.test").join())).toEqual({
      clientAddress: undefined,
      scheme: "http",
      host: "h.test",
    })
  })
})

/** Everything that a client may send in the hope to be taken for somebody else. */
const claim = fc.oneof(
  fc.constantFrom(
    "1.1.1.1",
    "10.0.0.9",
    "fd00::9",
    "unknown",
    "for=1.1.1.1",
    'for="',
    "https",
    "evil.test",
    '"',
    "\\",
    ",",
    ";",
    "",
  ),
  fc.string({ unit: fc.constantFrom(...'fo=r1.:",;\\[] \t'.split("")) }),
  fc.string().map((text) => text.replaceAll(/[^\t\x20-\x7e]/g, "")),
)
const claims = fc.array(claim, { maxLength: 6 }).map((parts) => parts.join(", "))
const field = fc.tuple(fc.constantFrom(...forwardedHeaderNames, "x-real-ip", "x_forwarded_for"), claims)
const headers = fc.array(field, { maxLength: 6 }).map((fields) => fields.flat())
const all = [reader(["x-forwarded-for", "x-forwarded-proto"]), xForwarded, reader(["x-forwarded-host"]), forwarded]

describe("whatever a client sends", () => {
  it("never throws, and gives an address in one notation, a scheme and an authority", () => {
    fc.assert(
      fc.property(headers, fc.constantFrom(...all), (list, read) => {
        const { clientAddress, scheme, host } = read(list)
        expect(clientAddress ?? "::").toMatch(/^[\da-f:.]+$/)
        expect(["http", "https"]).toContain(scheme)
        expect(host).toMatch(/^[\w.~:[\]-]+$/)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each(["192.0.2.7", "2001:db8::7", "11.0.0.1", ""])("changes nothing when it comes from %j by itself", (peer) => {
    fc.assert(
      fc.property(headers, fc.constantFrom(...all), (list, read) => {
        expect(read(list, { peer })).toEqual(read([], { peer }))
      }),
    )
  })

  it("changes nothing to the left of what the proxies wrote, in the same line or in lines before it", () => {
    const proxies = fc.array(fc.constantFrom("10.0.0.2", "fd00::2", "10.9.9.9"), { maxLength: 3 })
    const join = fc.constantFrom<"line" | "lines">("line", "lines")
    const prepend = (name: string, theirs: string, ours: string, how: "line" | "lines") =>
      how === "line" ? [name, `${theirs}, ${ours}`] : [name, theirs, name, ours]
    fc.assert(
      fc.property(claims, proxies, join, (theirs, hops, how) => {
        const addresses = ["192.0.2.1", ...hops].join(", ")
        const written = ["X-Forwarded-Proto", "https", "X-Forwarded-Host", "a.test"]
        const client = { clientAddress: "192.0.2.1", scheme: "https", host: "a.test" }
        expect(xForwarded([...prepend("X-Forwarded-For", theirs, addresses, how), ...written])).toEqual(client)
        expect(
          xForwarded([
            ...prepend("X-Forwarded-For", theirs, addresses, how),
            ...prepend("X-Forwarded-Proto", theirs, "https", how),
            ...prepend("X-Forwarded-Host", theirs, "a.test", how),
          ]),
        ).toEqual(client)
        const elements = ['for=192.0.2.1;proto=https;host="a.test"', ...hops.map((hop) => `for="[${hop}]";proto=http`)]
        const usual = elements.map((each) => each.replace(/"\[([\d.]+)\]"/, "$1")).join(", ")
        expect(forwarded(prepend("Forwarded", theirs, usual, how))).toEqual(client)
      }),
      { numRuns: 2_000 },
    )
  })

  it("changes nothing in a field that no proxy writes", () => {
    const list = (theirs: string) =>
      Object.entries({
        Forwarded: theirs,
        "X-Forwarded-Host": theirs,
        "X-Forwarded-Port": "1",
        "X-Real-IP": theirs,
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
      }).flat()
    const usual = reader(["x-forwarded-for", "x-forwarded-proto"])
    fc.assert(
      fc.property(claims, (theirs) => {
        expect(usual(list(theirs))).toEqual({ clientAddress: "192.0.2.1", scheme: "https", host: "h.test" })
      }),
    )
  })
})
