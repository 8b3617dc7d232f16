import { describe, expect, it } from "vitest"
import { ingressApi, ingressClient, IngressApiError } from "../../src/api.ts"
import type { Ingress } from "../../src/ingress.ts"
import { realIngresses } from "./real-ingresses.ts"
import { testApi, testFront, tokens } from "./test-api.ts"

const document: Ingress = {
  name: "api",
  rules: [
    { match: { hostname: "api.example.com", path: "/v1" }, target: { machine: "my-api", port: 8080 }, tls: true },
    {
      match: { hostname: "api.example.com" },
      targets: [{ machine: "my-api", port: 1, weight: 3 }, { url: "http://10.0.0.1" }],
      tls: true,
    },
  ],
}

const setup = async (token = tokens.operator) => {
  const { api, ...rest } = await testApi(realIngresses, { fronts: [testFront()] }, { basePath: "/v1" })
  const sent: Request[] = []
  const fetch: typeof globalThis.fetch = (...asked) => {
    const request = new Request(...asked)
    sent.push(request)
    return api.fetch(request)
  }
  return { ...rest, sent, client: ingressClient({ baseUrl: "https://api.test/v1", token, fetch }) }
}

describe("the typed client", () => {
  it("calls every operation", async () => {
    const { client } = await setup()
    const planned = await client.dryRun(document)
    expect(planned.diffs).toEqual([{ front: "caddy", diff: expect.stringContaining("+api") }])
    expect(await client.list()).toEqual({ ingresses: [] })
    const created = await client.create(document)
    expect(created).toMatchObject({ name: "api", version: 1 })
    expect(await client.read("api")).toEqual(created)
    expect((await client.dryRun({ ...document, name: "next" }, created.id)).ingress.name).toBe("next")
    const replaced = await client.replace(created.id, { name: "next", rules: created.rules }, { ifVersion: 1 })
    expect(replaced).toMatchObject({ id: created.id, name: "next", version: 2, rules: created.rules })
    const { id, parents } = await client.status("next")
    expect([id, ...parents.map(({ parent }) => parent)]).toEqual([created.id, "router", "caddy"])
    await client.create({
      name: "other",
      rules: [{ match: { hostname: "b.example.com" }, target: { url: "http://10.0.0.1" } }],
    })
    const { ingresses, next } = await client.list({ limit: 1 })
    const { ingresses: others } = await client.list({ cursor: next! })
    expect([...ingresses, ...others].map(({ name }) => name).toSorted()).toEqual(["next", "other"])
    expect([...ingresses, ...others]).toContainEqual(replaced)
    await client.remove("next", { ifVersion: 2 })
    const grant = await client.grant({ owner: "alice", to: "bob", target: { machine: "my-api" } })
    expect(await client.listGrants()).toEqual([grant])
    await client.revokeGrant(grant.id)
    expect(await client.listGrants()).toEqual([])
  })

  it("rejects with code, message and field", async () => {
    const { client } = await setup()
    const { id } = await client.create(document)
    const error = await client.replace(id, document, { ifVersion: 7 }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(IngressApiError)
    expect(error).toMatchObject({ code: "version_conflict", message: "the version is 1, not 7", field: undefined })
    const wrong = client.create({
      name: "x",
      rules: [{ match: { hostname: "*.x.com" }, target: { machine: "gone", port: 1 } }],
    })
    await expect(wrong).rejects.toMatchObject({ code: "instance_not_found", field: "rules.0.target.machine" })
    await expect(client.read("../grants")).rejects.toMatchObject({ code: "not_found" })
    const stranger = await setup("nobody-0123456789")
    await expect(stranger.client.list()).rejects.toMatchObject({ code: "unauthorized" })
  })

  it("refuses a document in the words of the API, before it is sent", async () => {
    const { client, sent } = await setup()
    const misspelt = { ...document.rules[0], allowCidr: ["10.0.0.0/8"] } as Ingress["rules"][number]
    await expect(client.create({ name: "x", rules: [misspelt] })).rejects.toMatchObject({
      code: "bad_request",
      field: "rules.0.allowCidr",
    })
    expect(sent).toEqual([])
  })

  it("puts back what it has read", async () => {
    const { client } = await setup()
    const resource = await client.create(document)
    expect(await client.replace(resource.id, { ...resource, name: "next" })).toMatchObject({ name: "next", version: 2 })
  })

  it("says unreachable for what is no response of the API, and takes its token nowhere else", async () => {
    const seen: string[] = []
    for (const respond of [
      () => Promise.reject(new Error("no route")),
      async () => new Response("<html>", { status: 502 }),
      async () => Response.json({ any: "thing" }),
      async () => Response.redirect("https://evil.example/"),
    ]) {
      const fetch: typeof globalThis.fetch = async (...asked) => {
        const request = new Request(...asked)
        seen.push(`${new URL(request.url).host} ${request.redirect}`)
        return respond()
      }
      const client = ingressClient({ baseUrl: "https://api.test", token: "x", fetch })
      await expect(client.read("api")).rejects.toMatchObject({ code: "unreachable" })
    }
    expect(new Set(seen)).toEqual(new Set(["api.test manual"]))
  })

  it("stops waiting when its signal is aborted", async () => {
    const fetch: typeof globalThis.fetch = (_request, init) =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))))
    const client = ingressClient({ baseUrl: "https://api.test", token: "x", fetch })
    const call = client.create(document, { signal: AbortSignal.abort() })
    await expect(call).rejects.toMatchObject({ code: "unreachable" })
  })
})

describe("options", () => {
  const ingresses = {} as never
  const operator = [{ token: tokens.operator }]
  it.each<readonly [string, object, RegExp]>([
    ["neither tokens nor authenticate", { ingresses }, /one of tokens and authenticate/],
    ["both", { ingresses, tokens: operator, authenticate: () => undefined }, /one of tokens and authenticate/],
    ["no ingresses", { tokens: operator }, /ingresses must be an object/],
    ["no token", { ingresses, tokens: [] }, /tokens must be/],
    ["a short token", { ingresses, tokens: [{ token: "short" }] }, /tokens must be .* got an array$/],
    [
      "a token without an owner's name",
      { ingresses, tokens: [{ token: tokens.operator, owner: "" }] },
      /tokens must be/,
    ],
    ["an invalid hash", { ingresses, tokens: [{ sha256: "00" }] }, /tokens must be/],
    ["another mode", { ingresses, tokens: operator, mode: "caddy" }, /mode must be "hypeman"/],
    ["a base path that ends", { ingresses, tokens: operator, basePath: "/v1/" }, /basePath must be/],
    ["a misspelt option", { ingresses, tokens: operator, basepath: "/v1" }, /did you mean basePath/],
  ])("%s is refused, without showing a token", (_name, options, message) => {
    const make = () => ingressApi(options as never)
    expect(make).toThrow(message)
    expect(make).not.toThrow(/0123456789/)
  })

  it("of the client are checked, too", () => {
    expect(() => ingressClient({ baseUrl: "api.test", token: "x" })).toThrow(/baseUrl must be an http/)
    expect(() => ingressClient({ baseUrl: "https://api.test", token: "" })).toThrow(/token must be/)
  })
})

describe("dispose", () => {
  it("waits for what runs, and responds with 503 from then on", async () => {
    const started = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    const real = await realIngresses({ machines: [] })
    const list = async () => {
      started.resolve()
      await ended.promise
      return { ingresses: [] }
    }
    const api = ingressApi({ ingresses: { ...real, list }, tokens: [{ token: tokens.operator }] })
    const ask = () =>
      api.fetch(new Request("http://api.test/ingresses", { headers: { authorization: `Bearer ${tokens.operator}` } }))
    const running = ask()
    await started.promise
    let isDisposed = false
    const disposed = api.dispose().then(() => (isDisposed = true))
    expect((await ask()).status).toBe(503)
    expect(isDisposed).toBe(false)
    ended.resolve()
    expect((await running).status).toBe(200)
    await disposed
  })
})
