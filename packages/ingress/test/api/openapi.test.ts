import { readFileSync } from "node:fs"
import { Ajv2020 } from "ajv/dist/2020.js"
import { describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { errorCodes } from "../../src/api.ts"
import type { IngressApiOptions } from "../../src/api.ts"
import { requestCodes } from "../../src/api/error-codes.ts"
import {
  AmbiguousReference,
  FrontFailed,
  FrontRefused,
  GrantRequired,
  HostnameInUse,
  HostnameNotAllowed,
  HostnameReserved,
  IngressInvalid,
  NameTaken,
  NotFound,
  PortInUse,
  SettingsConflict,
  TargetNotFound,
  VersionConflict,
} from "../../src/ingress.ts"
import type { IngressError } from "../../src/ingress.ts"
import { realIngresses } from "./real-ingresses.ts"
import { documented, testApi } from "./test-api.ts"
import type { Json } from "./test-api.ts"

const documentOf = async (options = {}): Promise<Json> => {
  const { ask } = await testApi(realIngresses, {}, options)
  return (await ask("GET", "/openapi.json")).body
}

const operations = (document: Json): [string, Json][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Json).map(([method, operation]): [string, Json] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )

const failures: Record<IngressError["_tag"], IngressError> = {
  IngressInvalid: new IngressInvalid({ field: "rules.0.tls", accepted: "absent" }),
  NameTaken: new NameTaken({ ingress: "x" }),
  HostnameInUse: new HostnameInUse({ field: "rules.0.match.hostname", hostname: "x.example.com", port: 80 }),
  HostnameReserved: new HostnameReserved({ field: "rules.0.match.hostname", hostname: "x.example.com" }),
  HostnameNotAllowed: new HostnameNotAllowed({ field: "rules.0.match.hostname", hostname: "x.example.com" }),
  TargetNotFound: new TargetNotFound({ field: "rules.0.target", kind: "machine", reference: "x" }),
  GrantRequired: new GrantRequired({ field: "rules.0.target" }),
  SettingsConflict: new SettingsConflict({ field: "rules.0" }),
  NotFound: new NotFound({ kind: "ingress", reference: "x" }),
  AmbiguousReference: new AmbiguousReference({ reference: "x", matches: ["x1", "x2"] }),
  VersionConflict: new VersionConflict({ expected: 1, actual: 2 }),
  FrontRefused: new FrontRefused({ front: "caddy", reason: "refused it", cause: "s3cret" }),
  FrontFailed: new FrontFailed({ front: "caddy", step: "apply", cause: new Error("s3cret") }),
  PortInUse: new PortInUse({ front: "caddy", port: 80 }),
}
const all = Object.keys(failures) as IngressError["_tag"][]
const ofReferences = ["NotFound", "AmbiguousReference"] as const
const ofFronts = ["FrontRefused", "FrontFailed", "PortInUse"] as const

/** What each operation may fail with. */
const possible: readonly (readonly [string, string, readonly IngressError["_tag"][]])[] = [
  ["POST", "/ingresses", all.filter((tag) => ![...ofReferences, "VersionConflict"].includes(tag))],
  ["GET", "/ingresses", ["IngressInvalid"]],
  ["GET", "/ingresses/x", ofReferences],
  ["PUT", "/ingresses/x", all],
  ["DELETE", "/ingresses/x", [...ofReferences, ...ofFronts, "VersionConflict"]],
  ["GET", "/ingresses/x/status", ofReferences],
  ["POST", "/grants", ["IngressInvalid", "TargetNotFound", "GrantRequired"]],
  ["GET", "/grants", []],
  ["DELETE", "/grants/x", ["NotFound"]],
]

describe.each([["our own form"], ["hypeman"]])("the document of %s", (name) => {
  const options: Partial<IngressApiOptions> = name === "hypeman" ? { mode: "hypeman" } : {}

  it("holds only what it defines, in valid schemas", async () => {
    const document = await documentOf(options)
    expect([document.openapi, document.security, document.components.securitySchemes]).toEqual([
      "3.1.0",
      [],
      { bearer: { type: "http", scheme: "Bearer" } },
    ])
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    ajv.addSchema(document, "openapi")
    for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"#([^"]+)"/g)) {
      expect(() => ajv.compile({ $ref: `openapi#${ref}` })).not.toThrow()
    }
    for (const schema of Object.values(document.components.schemas))
      expect(ajv.validateSchema(schema as object)).toBe(true)
    const ids = operations(document).map(([, { operationId }]) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [at, { parameters, security }] of operations(document)) {
      expect(security).toEqual([{ bearer: [] }])
      expect(at.includes("{id}")).toBe(parameters.some((each: Json) => each.name === "id" && each.in === "path"))
    }
  })

  it("has each operation with each of its statuses", async () => {
    const table = operations(await documentOf(options)).map(([at, operation]) => [
      at,
      Object.keys(operation.responses).join(" "),
    ])
    expect(Object.fromEntries(table)).toEqual({
      "POST /ingresses": "200 201 400 401 403 409 413 415 500 503",
      "GET /ingresses": "200 400 401 500 503",
      "GET /ingresses/{id}": "200 400 401 404 409 500 503",
      "PUT /ingresses/{id}": "200 400 401 403 404 409 412 413 415 500 503",
      "DELETE /ingresses/{id}": "200 204 400 401 404 409 412 500 503",
      "GET /ingresses/{id}/status": "200 400 401 404 409 500 503",
      "POST /grants": "201 400 401 403 413 415 500 503",
      "GET /grants": "200 400 401 500 503",
      "DELETE /grants/{id}": "204 400 401 404 500 503",
    })
  })

  it.each(possible)("%s %s has whatever it may fail with", async (method, path, tags) => {
    const { ingresses, ...rest } = await testApi(realIngresses)
    await rest.dispose()
    for (const tag of tags) {
      const fail = () => Promise.reject(failures[tag])
      const failing = Object.fromEntries(
        Object.keys(ingresses).map((name) => [name, name === "dispose" ? async () => {} : fail]),
      )
      // The response is compared with the document by `ask`.
      const { ask } = await testApi(() => failing as never, {}, options)
      const grant = { owner: "a", to: "b", target: { machine: "m" } }
      const body = method === "POST" || method === "PUT" ? (path === "/grants" ? grant : documented()) : undefined
      const said = await ask(method, path, { body })
      expect([said.status, said.body.code, said.text.includes("s3cret")]).toEqual([
        errorCodes[tag].status,
        errorCodes[tag].code,
        false,
      ])
    }
  })
})

describe("the main entry", () => {
  it("has nothing of the API, and the 404 of hypeman nothing of Effect", async () => {
    const bundle = (path: string) =>
      bundleWorker({ contents: `export * from "@project-ingress/ingress${path}"`, resolveDir: import.meta.dirname })
    expect(await bundle("/api")).toMatch(/effect\/dist\/http-api\//)
    expect(await bundle("")).not.toMatch(/effect\/dist\/http(?:-api)?\//)
    expect(await bundle("/compatible")).not.toMatch(/effect\/dist\//)
  })
})

describe("docs/ingress-api.md", () => {
  const page = readFileSync(new URL("../../../../docs/ingress-api.md", import.meta.url), "utf8")
  const rows = [...page.matchAll(/^\| (\d{3}) +\| `(\w+)` +\| (.*?) +\|$/gm)].map(([, status, code, from = ""]) => ({
    status: Number(status),
    code,
    tags: [...from.matchAll(/`([A-Z][A-Za-z]+)`/g)].map(([, tag]) => tag),
  }))

  it("names every code once, with its status and its errors", () => {
    const codes = new Map<string, number>(Object.entries(requestCodes))
    for (const { code, status } of Object.values(errorCodes)) codes.set(code, status)
    expect(Object.fromEntries(rows.map(({ code, status }) => [code, status]))).toEqual(Object.fromEntries(codes))
    expect(rows).toHaveLength(codes.size)
    for (const tag of all) expect(rows.find(({ tags }) => tags.includes(tag))?.code).toBe(errorCodes[tag].code)
  })
})
