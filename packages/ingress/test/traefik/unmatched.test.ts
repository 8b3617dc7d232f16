import { exportTraefik } from "@project-ingress/ingress/traefik"
import { expect, it } from "vitest"
import { unmatchedOf } from "../../src/traefik/unmatched.ts"
import { declared } from "./declared.ts"
import { traefikOf } from "./interpreter.ts"

it("looks at few of many patterns for one hostname, and then keeps its requests without knowing", async () => {
  const hostnames = [
    "a.*.com",
    // Longer, so none of them is wider.
    ...Array.from({ length: 400 }, (_, at) => `*.b${at}bbbbbbb.com`),
  ]
  const ingresses = await Promise.all(
    hostnames.map((hostname, at) =>
      declared(
        { name: `i${at}`, rules: [{ match: { hostname, path: "/p" }, target: { url: "http://10.0.0.1" } }] },
        at,
      ),
    ),
  )
  const claims = ingresses.map((ingress) => ({
    ingress,
    rule: ingress.rules[0]!,
    index: 0,
    port: 80,
    isRedirect: false,
  }))
  // Of the first 100 it finds out that there is nothing to keep.
  expect(unmatchedOf(claims.slice(0, 100)).has("i0")).toBe(false)
  expect(unmatchedOf(claims).has("i0")).toBe(true)
  const traefik = traefikOf(exportTraefik({ ingresses, address: () => undefined }).files)
  const at = (host: string, path: string) => traefik({ port: 80, tls: false, host, path, method: "GET", headers: {} })
  expect(at("a.x.com", "/p")).toMatchObject({ to: [["http://10.0.0.1:80/", 1]] })
  expect(at("a.x.com", "/q")).toEqual({ status: 404 })
})
