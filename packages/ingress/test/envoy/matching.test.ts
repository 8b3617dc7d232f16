import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { exportEnvoy } from "../../src/envoy.ts"
import type { DeclaredIngress } from "../../src/ingress.ts"
import { takenBy } from "../fronts/definition.ts"
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

const oneOf = (characters: string) => fc.constantFrom(...characters.split(""))

// Definitions of messages take a second to read.
beforeAll(() => assertMessage("envoy.config.bootstrap.v3.Bootstrap", {}))

describe("Envoy's matching", () => {
  it("gives each request to the first rule of its nearest hostname that matches it, or to none", async () => {
    const certificate = { certFile: "/a", keyFile: "/b" }
    await fc.assert(
      fc.asyncProperty(documents, fc.array(request, { minLength: 20, maxLength: 20 }), async (given, visits) => {
        const ingresses = await declare(
          ...given.map((rules) => ({
            // Every fourth has no address now.
            rules: rules.map((each, at) => ({
              ...each,
              target: at === 3 ? { machine: "mach_gone", port: 80 } : to(at + 1),
            })),
          })),
        )
        const hostnames = ingresses.flatMap(({ rules }) => rules.map(({ match }) => match.hostname!.wildcard))
        const certificates = Object.fromEntries(hostnames.map((name) => [name, certificate]))
        const { files, problems } = exportEnvoy(
          { ingresses, address },
          { mode: "static", format: "json", certificates },
        )
        expect(problems.filter(({ kind }) => kind !== "unresolved")).toEqual([])
        const configuration: unknown = JSON.parse(readable(files[0]!.text, ingresses))
        for (const visit of visits) {
          const { host, isTls } = visit
          // A browser's server name is its hostname.
          const outcome = interpret(configuration, { ...visit, ...(isTls ? { sni: host } : {}) })
          const { kind } = outcome
          const found = kind === "clusters" ? outcome.names[0] : kind === "status" ? outcome.status : undefined
          const taken = takenBy(ingresses, { ...visit, hostname: host, tls: isTls })
          const name = taken && `${taken.ingress.name}_${taken.at}`
          // Where nothing is declared for the port or the server name, there is no connection.
          const wanted = taken === undefined ? [404, undefined] : [taken.at === 3 ? 503 : name]
          expect(wanted, JSON.stringify({ visit, outcome })).toContain(found)
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
