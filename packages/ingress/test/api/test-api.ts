import { Ajv2020 } from "ajv/dist/2020.js"
import { expect } from "vitest"
import { ingressApi } from "../../src/api.ts"
import type { IngressApiOptions } from "../../src/api.ts"
import type { DeclaredIngress, Front } from "../../src/ingress.ts"
import type { IngressesFactory, TestPlatform } from "./real-ingresses.ts"

export const tokens = {
  operator: "operator-token-0123456789",
  alice: "alice-token-0123456789",
  bob: "bob-token-0123456789",
}

/** JSON whose shape a test knows. */
export type Json = ReturnType<typeof JSON.parse>

/** A response, read. */
export interface Said {
  readonly status: number
  readonly body: Json
  readonly text: string
  readonly headers: Headers
}

export interface Asked {
  readonly as?: keyof typeof tokens | undefined
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** An API over a platform. Every response of an operation is compared with what the OpenAPI document says of it. */
export const testApi = async (
  factory: IngressesFactory,
  platform: Partial<TestPlatform> = {},
  options: Partial<IngressApiOptions> = {},
) => {
  const ingresses = await factory({
    machines: [{ id: "my-api", owner: "alice" }, { id: "mach_1" }, { id: "bobs", owner: "bob" }],
    reservedHostnames: ["api.platform.example"],
    ...platform,
  })
  const api = ingressApi({
    ingresses,
    ...(options.authenticate === undefined && {
      tokens: [
        { token: tokens.operator },
        { token: tokens.alice, owner: "alice" },
        { token: tokens.bob, owner: "bob" },
      ],
    }),
    ...options,
  })
  const base = options.basePath ?? ""
  const check = responseCheck(await (await api.fetch(new Request(`http://api.test${base}/openapi.json`))).json())

  const ask = async (
    method: string,
    path: string,
    { as = "operator", body, headers = {} }: Asked = {},
  ): Promise<Said> => {
    const request = new Request(`http://api.test${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${tokens[as]}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    })
    const response = await api.fetch(request)
    const text = await response.text()
    const json = response.headers.get("content-type") === "application/json" && text !== ""
    const said = { status: response.status, body: json ? JSON.parse(text) : undefined, text, headers: response.headers }
    check(method, new URL(request.url).pathname.slice(base.length), said)
    return said
  }
  return { ingresses, api, ask, dispose: () => Promise.all([api.dispose(), ingresses.dispose()]) }
}

const checks = new Map<string, ReturnType<typeof makeResponseCheck>>()

/** One for each document: compiling schemas takes long. */
const responseCheck = (document: object): ReturnType<typeof makeResponseCheck> => {
  const key = JSON.stringify(document)
  const check = checks.get(key) ?? makeResponseCheck(document)
  checks.set(key, check)
  return check
}

/** Fails for a status or a body that the document does not have. */
const makeResponseCheck = (document: Json) => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(document, "openapi")
  return (method: string, path: string, { status, body }: Said): void => {
    const template = Object.keys(document.paths).find((each) =>
      new RegExp(`^${each.replaceAll("{id}", "[^/]+")}$`).test(path),
    )
    const operation = template === undefined ? undefined : document.paths[template][method.toLowerCase()]
    if (template === undefined || operation === undefined) return
    expect(Object.keys(operation.responses), `${method} ${path}`).toContain(String(status))
    if (body === undefined) return
    const pointer = [
      "paths",
      template,
      method.toLowerCase(),
      "responses",
      status,
      "content",
      "application/json",
      "schema",
    ]
    const validate = ajv.getSchema(
      `openapi#/${pointer.map((part) => encodeURIComponent(String(part).replaceAll("/", "~1"))).join("/")}`,
    )
    if (validate === undefined) throw new Error(`${method} ${path} ${status} has no schema`)
    expect(validate(body) ? [] : validate.errors, `${method} ${path}: ${JSON.stringify(body)}`).toEqual([])
  }
}

/** A front whose steps are given. */
export const testFront = (
  steps: Partial<Record<"validate" | "apply", () => void>> = {},
): Front & { live: string; given: readonly DeclaredIngress[] } => {
  const front = {
    name: "caddy",
    live: "",
    given: [] as readonly DeclaredIngress[],
    plan: async ({ ingresses }: Parameters<Front["plan"]>[0]) => {
      const before = front.live
      const next = ingresses.map(({ name }) => name).join()
      return {
        problems: [],
        diff: `-${before}\n+${next}\n`,
        validate: async () => steps.validate?.(),
        apply: async () => {
          front.live = next
          front.given = ingresses
          steps.apply?.()
        },
        readBack: async () => {},
        rollBack: async () => void (front.live = before),
      }
    },
  }
  return front
}

/** One rule to a machine, as hypeman documents it. */
export const documented = (hostname = "api.example.com", name = "my-api-ingress") => ({
  name,
  rules: [{ match: { hostname, port: 80 }, target: { instance: "my-api", port: 8080 } }],
})

/** One rule of ours, with what a case changes of it. */
export const rule = (fields: object = {}, match: object = {}, target: object = {}) => ({
  match: { hostname: "api.example.com", ...match },
  target: { machine: "mach_1", port: 8080, ...target },
  ...fields,
})
export const ingress = (...rules: readonly object[]) => ({ name: "api", rules })
