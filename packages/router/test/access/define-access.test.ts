import { generateTicketKeys } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { cookieValues, setCookie } from "../../src/access/cookies.ts"
import { defineAccess } from "../../src/access.ts"

const old = (await generateTicketKeys("old")).signing
const current = (await generateTicketKeys("current")).signing
const claims = { sub: "user_ann", host: "misha.iterate.app", gen: 3 }

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 }))
afterEach(() => void vi.useRealTimers())

describe("a signed value", () => {
  const { signed } = defineAccess({ keys: [current] })

  it("says what was signed until it ends, and is read at once the second time", async () => {
    const value = await signed("session").sign(claims, 60_000)
    const expected = { claims, expiresAt: 1_800_000_060_000 }
    expect(await signed("session").verify(value)).toEqual(expected)
    expect(signed("session").verify(value)).toEqual(expected)
    vi.setSystemTime(1_800_000_066_000)
    expect(signed("session").verify(value)).toBeUndefined()
    expect(await signed("session").verify(value)).toBeUndefined()
  })

  it("of one purpose is worth nothing for another", async () => {
    const value = await signed("code").sign(claims, 60_000)
    expect(await signed("session").verify(value)).toBeUndefined()
    expect(await signed("link").verify(value)).toBeUndefined()
  })

  it("outlives a rotation as long as its key is among them", async () => {
    const value = await defineAccess({ keys: [old] })
      .signed("session")
      .sign(claims, 60_000)
    expect(
      await defineAccess({ keys: [current, old] })
        .signed("session")
        .verify(value),
    ).toMatchObject({ claims })
    expect(await signed("session").verify(value)).toBeUndefined()
  })

  it.each([
    ["an empty text", () => ""],
    ["no JWT", () => "a.b.c"],
    ["another signature", (value: string) => value.slice(0, -4) + (value.endsWith("AAAA") ? "BBBB" : "AAAA")],
    [
      "other claims",
      (value: string) => value.replace(/\.[^.]+\./, `.${Buffer.from('{"sub":"x"}').toString("base64url")}.`),
    ],
    [
      "no algorithm",
      (value: string) => `${Buffer.from('{"alg":"none"}').toString("base64url")}.${value.split(".")[1]}.`,
    ],
    ["3 000 characters", () => "a".repeat(3_000)],
  ])("with %s is not valid", async (_, change) => {
    const value = await signed("session").sign(claims, 60_000)
    expect(await signed("session").verify(change(value))).toBeUndefined()
  })
})

describe("defineAccess", () => {
  it("says which paths are the platform's", () => {
    const { ownPath } = defineAccess({ keys: [current] })
    expect(["/_/sign-in?x=/_/", "/_/", "/_", "/a/_/b", "/__/x"].map(ownPath)).toEqual([
      "sign-in",
      "",
      undefined,
      undefined,
      undefined,
    ])
    expect(defineAccess({ keys: [current], prefix: "/.ingress/" }).ownPath("/.ingress/link")).toBe("link")
  })

  it.each([
    [{}, "defineAccess: keys must be an array of one or more signing keys, got undefined"],
    [{ keys: [] }, "keys must be an array of one or more signing keys"],
    [{ keys: [{ kid: "x" }] }, "keys must be an array of one or more signing keys"],
    [{ keys: [current], prefix: "/" }, "prefix must be a path of one segment"],
    [{ keys: [current], prefix: "/../" }, "prefix must be a path of one segment"],
    [{ keys: [current], cookieName: "a-b" }, "cookieName must be 1 to 32 letters and digits"],
    [{ keys: [current], cookie: "a" }, "cookie is not an option"],
  ])("refuses %j", (options, message) => {
    expect(() => defineAccess(options as never)).toThrow(message)
  })
})

describe("cookies", () => {
  it("are read by their exact name, each value", () => {
    const field = 'xa=0; a=1; A=2; a = 3 ; b="a=9"; a; a=4=5'
    expect(cookieValues(field, "a")).toEqual(["1", "3", "4=5"])
    expect(cookieValues(undefined, "a")).toEqual([])
    expect(cookieValues("a=1;".repeat(100), "a")).toHaveLength(4)
  })

  it("are set for one hostname alone", () => {
    expect(setCookie("__Host-x", "v", { validForMs: 1_500, sameSite: "Lax" })).toBe(
      "__Host-x=v; Path=/; Max-Age=2; HttpOnly; Secure; SameSite=Lax",
    )
    expect(setCookie("__Host-x", "", { validForMs: 0, sameSite: "framed" })).toBe(
      "__Host-x=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned",
    )
  })
})
