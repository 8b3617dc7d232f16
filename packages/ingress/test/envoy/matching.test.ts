import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { exportEnvoy } from "../../src/envoy.ts"
import { compareRules, matchPort } from "../../src/ingress.ts"
import type { DeclaredIngress, DeclaredRule } from "../../src/ingress.ts"
import { matchHostname } from "../../src/resource/hostname-pattern.ts"
import { address, declare, readable, to } from "./declare.ts"
import { assertMessage } from "./envoy-api.ts"
import { interpret } from "./interpret-envoy.ts"

// Few values, so that hostnames, patterns and paths meet often.
const label = fc.constantFrom("a", "b", "*")
const hostname = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => [...labels, "x"].join("."))
const path = fc.constantFrom(undefined, "/", "/p", "/p/q", { exact: "/p" }, { exact: "/p/q" })
const method = fc.constantFrom(undefined, "GET", "POST")
const headers = fc.constantFrom(undefined, { h: "1" }, { h: "1", i: "2" })
const rarely = fc.constantFrom(false, false, false, true)
const rule = fc
  .record({
    hostname,
    path,
    method,
    headers,
    tls: rarely,
    port: fc.constantFrom(undefined, undefined, undefined, 8080),
  })
  .map(({ tls, ...match }) => ({
    match: Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined)),
    tls,
  }))
const documents = fc.array(fc.array(rule, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 })
const request = fc.record({
  host: fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 })
    .map((labels) => [...labels, "x"].join(".")),
  path: fc.constantFrom("/", "/p", "/p/", "/p/q", "/p/q/r", "/pq", "/p?a"),
  method: fc.constantFrom("GET", "POST"),
  headers: fc.constantFrom({}, { h: "1" }, { h: "1", i: "2" }, { h: "2" }),
  port: fc.constantFrom(80, 80, 80, 443, 8080),
  isTls: rarely,
})
type Request = typeof request extends fc.Arbitrary<infer Value> ? Value : never

const oneOf = (characters: string) => fc.constantFrom(...characters.split(""))

/** What the contract says, rule by rule. */
const takes = ({ match, tls = false }: DeclaredRule, visit: Request): boolean => {
  if (tls !== visit.isTls || matchPort({ match, tls }) !== visit.port) return false
  if (matchHostname(match.hostname!, visit.host) === undefined) return false
  if (match.method !== undefined && match.method !== visit.method) return false
  const fields: Readonly<Record<string, string>> = visit.headers
  if (Object.entries(match.headers ?? {}).some(([name, value]) => fields[name] !== value)) return false
  const path = visit.path.replace(/\?.*/, "")
  if (match.path === undefined) return true
  if ("exact" in match.path) return path === match.path.exact
  return path === match.path.prefix || path.startsWith(`${match.path.prefix}/`)
}

const winner = (ingresses: readonly DeclaredIngress[], visit: Request): string | undefined => {
  const taking = ingresses
    .flatMap((ingress) => ingress.rules.map((rule, index) => ({ ingress, rule, index })))
    .filter(({ rule }) => takes(rule, visit))
    .toSorted(compareRules)[0]
  return taking && `${taking.ingress.name}_${taking.index}`
}

// Definitions of messages take a second to read.
beforeAll(() => assertMessage("envoy.config.bootstrap.v3.Bootstrap", {}))

describe("Envoy's matching", () => {
  it("gives each request to the rule that comes first of those that match it, or to none", async () => {
    const certificate = { certFile: "/a", keyFile: "/b" }
    await fc.assert(
      fc.asyncProperty(documents, fc.array(request, { minLength: 20, maxLength: 20 }), async (given, visits) => {
        const ingresses = await declare(
          ...given.map((rules) => ({ rules: rules.map((each, at) => ({ ...each, target: to(at + 1) })) })),
        )
        const hostnames = ingresses.flatMap(({ rules }) => rules.map(({ match }) => match.hostname!.wildcard))
        const certificates = Object.fromEntries(hostnames.map((name) => [name, certificate]))
        const { files, problems } = exportEnvoy(
          { ingresses, address },
          { mode: "static", format: "json", certificates },
        )
        expect(problems).toEqual([])
        const configuration: unknown = JSON.parse(readable(files[0]!.text, ingresses))
        for (const visit of visits) {
          const { host, isTls } = visit
          // A browser's server name is its hostname.
          const outcome = interpret(configuration, { ...visit, ...(isTls ? { sni: host } : {}) })
          const wanted = winner(ingresses, visit)
          const taken = outcome.kind === "clusters" ? outcome.names[0] : undefined
          expect(taken, JSON.stringify({ visit, outcome })).toBe(wanted)
        }
      }),
      { interruptAfterTimeLimit: 1_500, markInterruptAsFailure: false, numRuns: 1_000 },
    )
  })
})

describe("values of a document", () => {
  it("never change the structure of a file", async () => {
    const visible = (min: number, max: number) =>
      fc.string({
        unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
        minLength: min,
        maxLength: max,
      })
    const fieldValue = fc.string({ unit: oneOf("\t :#%{}[]\"'\\$&*!|>@`,-?~nyo0=<;"), maxLength: 20 })
    const fieldName = fc
      .string({ unit: oneOf("ab!#$%&'*+-.^_`|~0"), minLength: 1, maxLength: 8 })
      .map((name) => `x${name}`)
    const hostile = fc.record({
      label: fc.constantFrom("yes", "null", "0x1f", "1e3", "a--b", "n", "true"),
      path: visible(1, 20).map((text) => `/${text.replace(/[?#]/g, "_")}`),
      fields: fc.dictionary(fieldName, fieldValue, { maxKeys: 3 }),
      set: fc.dictionary(fieldName, fieldValue, { maxKeys: 3 }),
      secret: visible(32, 60),
      method: fc.constantFrom("GET", "A|B", "`'"),
    })
    await fc.assert(
      fc.asyncProperty(hostile, async ({ label, path, fields, set, secret, method }) => {
        const document = (given: typeof path, values: typeof fields, adds: typeof set, key: string, how: string) => ({
          rules: [
            {
              match: { hostname: `${label}.example.com`, path: { exact: given }, headers: values, method: how },
              target: to(1),
              requireHeader: { name: "x-key", value: key },
              responseHeaders: { set: adds },
              healthCheck: { path: given },
            },
          ],
        })
        const plain = (values: typeof fields) => Object.fromEntries(Object.keys(values).map((name) => [name, "v"]))
        const [hostileOnes, plainOnes] = await Promise.all([
          declare(document(path, fields, set, secret, method)),
          declare(document("/p", plain(fields), plain(set), "k".repeat(32), "GET")),
        ])
        const parsed = (ingresses: readonly DeclaredIngress[]) => {
          const [yaml, json] = (["yaml", "json"] as const).map(
            (format) => exportEnvoy({ ingresses, address }, { mode: "static", format }).files[0]!.text,
          )
          const value: unknown = parse(readable(yaml!, ingresses))
          expect(value).toEqual(JSON.parse(readable(json!, ingresses)))
          assertMessage("envoy.config.bootstrap.v3.Bootstrap", value)
          return value
        }
        const hostileOne = parsed(hostileOnes)
        expect(shape(hostileOne)).toEqual(shape(parsed(plainOnes)))
        const visit = { port: 80, host: `${label}.example.com`, path, method, headers: { ...fields, "x-key": secret } }
        expect(interpret(hostileOne, visit)).toMatchObject({ kind: "clusters", names: ["app-0_0"] })
      }),
      { interruptAfterTimeLimit: 1_500, markInterruptAsFailure: false, numRuns: 200 },
    )
  })
})

/** A value with all texts alike. */
const shape = (value: unknown): unknown => {
  if (typeof value === "string") return "text"
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, shape(of)]))
}
