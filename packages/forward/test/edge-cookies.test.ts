import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { setsCookie, withoutCookies } from "../src/edge-cookies.ts"
import { requestHeaders } from "../src/request-headers.ts"
import { responseHeaders } from "../src/response-headers.ts"
import { defaultHeaderNames as names } from "../src/header-names.ts"

const edge = ["CF_Authorization"]

describe("a Set-Cookie of a platform's edge", () => {
  it.each([
    ["CF_Authorization=x; Path=/; Secure", true],
    ["  CF_Authorization =x", true],
    ["CF_Authorization", true],
    ["CF_Authorization;Path=/", true],
    ["CF_Authorization2=x", false],
    ["cf_authorization=x", false],
    ["=CF_Authorization=x", true],
    [" =\t= CF_Authorization", true],
    ["=x; CF_Authorization=x", false],
    ["a=CF_Authorization=x", false],
    ["", false],
  ])("is known by its name: %j is %s", (value, known) => {
    expect(setsCookie(value, edge)).toBe(known)
  })

  it.each([
    ["__Host-platform-session=x", true],
    ["__Host-platform-=x", true],
    ["=__Host-platform-session=x", true],
    ["__Host-platform=x", false],
    ["__host-platform-session=x", false],
    ["x__Host-platform-session=x", false],
  ])("is known by a prefix, too: %j is %s", (value, known) => {
    expect(setsCookie(value, ["other", "__Host-platform-*"])).toBe(known)
  })

  it("is dropped from an answer, and no other is", () => {
    const inbound = [
      "Set-Cookie",
      "a=1",
      "set-cookie",
      "CF_Authorization=x; HttpOnly",
      "Set-Cookie",
      "b=2",
      "Date",
      "x",
    ]
    const shape = { status: 200, chunked: false }
    const hop = { headerNames: names, stamped: true, add: [] }
    expect(responseHeaders(inbound, { ...hop, edgeCookies: edge }, shape)).toEqual(
      "Set-Cookie a=1 Set-Cookie b=2 Date x".split(" "),
    )
    expect(responseHeaders(inbound, hop, shape)).toEqual(inbound)
  })
})

describe("a client's own cookie of that name", () => {
  it.each([
    ["CF_Authorization=x", undefined],
    ["a=1; CF_Authorization=x; b=2", "a=1; b=2"],
    ["CF_Authorization=x; a=1", "a=1"],
    ["a=1;CF_Authorization=x", "a=1"],
    ["a=CF_Authorization", "a=CF_Authorization"],
    ["a=1; =CF_Authorization=x", "a=1"],
    ["a=1;; b = 2", "a=1;; b = 2"],
    ["", ""],
  ])("is not sent on: %j leaves %j", (value, left) => {
    expect(withoutCookies(value, edge)).toBe(left)
    const hop = { headerNames: names, pseudonym: "test", trusted: false, edgeCookies: edge, add: [] }
    expect(requestHeaders(["Cookie", value], hop)).toEqual([
      ...(left === undefined ? [] : ["Cookie", left]),
      "Via",
      "1.1 test",
    ])
  })

  it("never passes, and every other one does (property)", () => {
    const pair = fc.tuple(fc.constantFrom("a", "b", "CF_Authorization"), fc.stringMatching(/^[a-z=]{0,5}$/))
    fc.assert(
      fc.property(fc.array(pair), (pairs) => {
        const text = (some: typeof pairs) => some.map(([name, value]) => `${name}=${value}`).join("; ")
        const kept = pairs.filter(([name]) => name !== "CF_Authorization")
        expect(withoutCookies(text(pairs), edge) ?? "").toBe(text(kept))
      }),
    )
  })
})
