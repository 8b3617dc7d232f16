import { mergeOverrides } from "@project-ingress/ingress/traefik"
import { describe, expect, it } from "vitest"

const base = {
  entryPoints: { web: { address: ":80", middlewares: ["a"] }, ssh: { middlewares: ["b"] } },
  level: "info",
}

describe("a user's overrides", () => {
  it("are merged map by map, and replace texts, numbers and null", () => {
    expect(
      mergeOverrides(base, { entryPoints: { web: { address: ":8080" }, dns: { address: ":53" } }, level: null }),
    ).toEqual({
      entryPoints: {
        web: { address: ":8080", middlewares: ["a"] },
        ssh: { middlewares: ["b"] },
        dns: { address: ":53" },
      },
      level: null,
    })
    expect(mergeOverrides(base, undefined)).toBe(base)
    expect(mergeOverrides(undefined, base)).toBe(base)
  })

  it("change nothing of what was given", () => {
    const before = JSON.stringify(base)
    mergeOverrides(base, { entryPoints: { web: { middlewares: ["x"] } } }, { "**": "append" })
    expect(JSON.stringify(base)).toBe(before)
  })

  it("need a policy for a list that both have, and name it", () => {
    const override = { entryPoints: { web: { middlewares: ["x"] } } }
    expect(() => mergeOverrides(base, override)).toThrow("entryPoints.web.middlewares is a list")
    expect(() => mergeOverrides(base, override, { "**": "append", "entryPoints.web.middlewares": "refuse" })).toThrow(
      TypeError,
    )
  })

  it.each([
    [{ "entryPoints.web.middlewares": "replace" }, ["x", "a"]],
    [{ "entryPoints.*.middlewares": "append" }, ["a", "x"]],
    [{ "**": "append" }, ["a", "x"]],
    [{ "**": "append", "entryPoints.web.middlewares": "replace" }, ["x", "a"]],
  ] as const)("follow %j", (lists, expected) => {
    const merged = mergeOverrides(base, { entryPoints: { web: { middlewares: ["x", "a"] } } }, lists)
    expect(merged).toMatchObject({ entryPoints: { web: { middlewares: expected } } })
  })

  it("refuse a map over a text, and the reverse", () => {
    expect(() => mergeOverrides(base, { level: { a: 1 } })).toThrow("level is a map in one document only")
    expect(() => mergeOverrides(base, { entryPoints: "web" })).toThrow("entryPoints is a map in one document only")
    expect(() => mergeOverrides(base, { entryPoints: ["web"] })).toThrow("entryPoints is a map in one document only")
  })

  it("cannot change prototypes", () => {
    const merged = mergeOverrides({ a: {} }, JSON.parse('{"__proto__": {"x": 1}, "a": {"constructor": {"y": 2}}}')) as {
      x?: number
    }
    expect(merged.x).toBeUndefined()
    expect(JSON.stringify(merged)).toBe('{"a":{"constructor":{"y":2}},"__proto__":{"x":1}}')
  })
})
