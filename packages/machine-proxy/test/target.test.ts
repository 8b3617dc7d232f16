import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseTarget } from "../src/target.ts"

const label63 = "a".repeat(63)
const name253 = `${label63}.${label63}.${label63}.${"a".repeat(61)}`

// Written the other way round than the parser: by parts, not by expression.
const isLabel = (text: string): boolean =>
  text.length >= 1 &&
  text.length <= 63 &&
  text.split("").every((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-".includes(c)) &&
  !["_", "-"].includes(text.at(0)!) &&
  !["_", "-"].includes(text.at(-1)!)
const isName = (text: string): boolean =>
  text.length <= 253 && !text.includes("__") && text.split(".").every((label) => isLabel(label))
const isPort = (text: string): boolean =>
  String(Number(text)) === text && Number.isInteger(Number(text)) && Number(text) >= 1 && Number(text) <= 65535

const expected = (value: string) => {
  const colon = value.indexOf(":")
  if (colon >= 0) {
    const [host, port] = [value.slice(0, colon).toLowerCase(), value.slice(colon + 1)]
    return (host === "localhost" || host === "127.0.0.1") && isPort(port) ? { port: Number(port) } : "invalid"
  }
  const at = value.indexOf("__")
  if (at >= 0) {
    const [port, hostname] = [value.slice(0, at), value.slice(at + 2)]
    return isPort(port) && isName(hostname) ? { port: Number(port), hostname } : "invalid"
  }
  return isName(value) ? { port: 3000, hostname: value } : "invalid"
}

describe("the target header", () => {
  it.each([
    ["5173__app.example.com", 5173, "app.example.com"],
    ["65535__app.example.com", 65535, "app.example.com"],
    ["3000__mach_123.machines.iterate.app", 3000, "mach_123.machines.iterate.app"],
    ["app.example.com", 3000, "app.example.com"],
    ["misha.localhost", 3000, "misha.localhost"],
    ["localhost", 3000, "localhost"],
    // An address without a port is a name like any other: what is dialled is loopback.
    ["10.0.0.1", 3000, "10.0.0.1"],
    [`1__${name253}`, 1, name253],
    ["xn--bcher-kva.example", 3000, "xn--bcher-kva.example"],
    ["5__A.Example", 5, "A.Example"],
  ])("takes %s", (value, port, hostname) => {
    expect(parseTarget(value, 3000)).toEqual({ port, hostname })
  })

  it.each([
    ["localhost:3001", 3001],
    ["127.0.0.1:3001", 3001],
    ["LOCALHOST:3001", 3001],
    ["localhost:65535", 65535],
  ])("takes %s", (value, port) => {
    expect(parseTarget(value, 3000)).toEqual({ port })
  })

  it("uses the given default port for a bare hostname", () => {
    expect(parseTarget("app.example.com", 8000)).toEqual({ port: 8000, hostname: "app.example.com" })
  })

  it("tells a missing value from an invalid one", () => {
    expect(parseTarget(undefined, 3000)).toBe("missing")
    expect(parseTarget("", 3000)).toBe("invalid")
  })

  it.each([
    "evil.com:80",
    "169.254.169.254:80",
    "10.0.0.1:3000",
    "app.example.com:8080",
    "metadata.google.internal:80",
    "a, b",
    "localhost:3000, localhost:22",
    "localhost:80@evil.com",
    "evil@localhost:3000",
    "localhost:3000#@evil",
    "localhost:3000/../x",
    "localhost:3000?x",
    "0.0.0.0:3000",
    "[::]:3000",
    "[::1]:3000",
    "[::ffff:127.0.0.1]:3000",
    "[::ffff:a9fe:a9fe]:80",
    "127.0.0.1.nip.io:3000",
    "127.0.0.2:3000",
    "127.1:3000",
    "a..b",
    ".a",
    "a.",
    "_x",
    "x_",
    "-x",
    "x-",
    "a._b",
    "a__b",
    "5__",
    "__x",
    "5___x",
    "5__6__x",
    "5_ _x",
    "x.5__y",
    "5__localhost:3000",
    "localhost:",
    "appé.example",
    "ａpp.example",
    "app\u0000.example",
    "app.example\r\nX: y",
    "app.example\n",
    "http://localhost:3000",
    `${label63}a.example`,
    `${name253}a`,
    "a".repeat(100_000),
    "a.".repeat(50_000),
  ])("refuses %j", (value) => {
    expect(parseTarget(value, 3000)).toBe("invalid")
  })

  it.each([
    "0",
    "65536",
    "99999",
    "-1",
    "+3000",
    "3e3",
    "0x50",
    "3000.0",
    "03000",
    " 3000",
    "3000 ",
    "",
    "NaN",
    "٣٠٠٠",
  ])("refuses the port %j in every form", (port) => {
    for (const value of [`localhost:${port}`, `127.0.0.1:${port}`]) {
      expect(parseTarget(value, 3000)).toBe("invalid")
    }
    expect(parseTarget(`${port}__app.example.com`, 3000)).toBe("invalid")
  })

  it("matches the grammar exactly or refuses, and never throws", () => {
    const piece = fc.oneof(
      fc.constantFrom("localhost", "127.0.0.1", ":", "__", "_", ".", "-", "mach_1", "app", "@", ",", " ", "\n", "é"),
      fc.integer({ min: 0, max: 70_000 }).map(String),
    )
    const almost = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), almost), (value) => {
        expect(parseTarget(value, 3000)).toEqual(expected(value))
      }),
      { numRuns: 5_000 },
    )
  })

  it("takes no exponential time", () => {
    // Time of this process alone, and far more than needed: backtracking would take longer than anybody waits.
    const before = process.cpuUsage()
    for (const value of ["1__".repeat(30_000), "a-".repeat(126), `${"a_".repeat(100)}!`, "1".repeat(260)]) {
      for (let i = 0; i < 100; i++) parseTarget(value, 3000)
    }
    expect(process.cpuUsage(before).user).toBeLessThan(5_000_000)
  })
})
