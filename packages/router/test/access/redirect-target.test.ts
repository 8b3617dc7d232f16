import { expect, it } from "vitest"
import { redirectTarget } from "../../src/access/redirect-target.ts"

const prefix = "/_/"

it.each([
  "/",
  "/docs",
  "/docs/?q=https://evil.example//x#top",
  "/a//b",
  "/a/../b",
  "/:@evil.example",
  "/a%2Fb",
  "/__/x",
  "/_",
])("%s is a path of the same hostname", (value) => {
  expect(redirectTarget(value, prefix)).toBe(value)
  expect(new URL(value, "https://misha.iterate.app").hostname).toBe("misha.iterate.app")
})

it.each([
  undefined,
  null,
  42,
  "",
  "docs",
  "?x",
  "#x",
  "//evil.example",
  "///evil.example",
  "/\\evil.example",
  "\\\\evil.example",
  "\\/evil.example",
  "/a\\b",
  "/\t/evil.example",
  "/\n/evil.example",
  "\t//evil.example",
  " //evil.example",
  "/ /evil.example",
  "/\u0000",
  "/é",
  "/%2Fevil.example",
  "/%2f%2fevil.example",
  "/%5Cevil.example",
  "%2F%2Fevil.example",
  "/.//evil.example",
  "/..//evil.example",
  "/a/..//evil.example",
  "/%2e//evil.example",
  "https://evil.example",
  "https:/evil.example",
  "https:evil.example",
  "HTTPS://misha.iterate.app/",
  "javascript:alert(1)",
  "data:text/html,x",
  "evil.example",
  "@evil.example",
  "/_/sign-out",
  "/_/",
  "/a/../_/sign-out",
  "/%2e/_/sign-out",
  `/${"a".repeat(1_024)}`,
])("%j is sent to /", (value) => {
  expect(redirectTarget(value, prefix)).toBe("/")
})

it("knows the platform's own prefix", () => {
  expect(redirectTarget("/.ingress/link", "/.ingress/")).toBe("/")
  expect(redirectTarget("/_/link", "/.ingress/")).toBe("/_/link")
})
