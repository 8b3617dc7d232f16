import { describe, expect, it } from "vitest"
import { ingressApi } from "../../src/api.ts"
import { realIngresses } from "./real-ingresses.ts"
import { documented, testApi, tokens } from "./test-api.ts"

const setup = (options = {}) => testApi(realIngresses, {}, options)
const secret = "s3cret-0123456789-0123456789-0123456789"

describe("bodies", () => {
  it("are read to their limit, whatever their length claims", async () => {
    const { ask, api } = await setup()
    const large = JSON.stringify({ name: "x".repeat(1_048_576), rules: [] })
    expect((await ask("POST", "/ingresses", { body: large })).status).toBe(413)
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++
        controller.enqueue(new Uint8Array(65_536).fill(0x20))
      },
    })
    const headers = { authorization: `Bearer ${tokens.operator}`, "content-type": "application/json" }
    const request = new Request("http://api.test/ingresses", {
      method: "POST",
      headers,
      body: endless,
      duplex: "half",
    } as RequestInit)
    expect((await api.fetch(request)).status).toBe(413)
    expect(pulled).toBeLessThan(40)
  })

  it("without an accepted token are not read at all", async () => {
    const { api } = await setup()
    let pulled = 0
    const body = new ReadableStream<Uint8Array>({ pull: () => void pulled++ }, { highWaterMark: 0 })
    const headers = { "content-type": "application/json", authorization: "Bearer nobody" }
    const request = new Request("http://api.test/ingresses", {
      method: "POST",
      headers,
      body,
      duplex: "half",
    } as RequestInit)
    expect((await api.fetch(request)).status).toBe(401)
    expect(pulled).toBe(0)
  })

  it.each([
    ["deep arrays", "[".repeat(500_000)],
    ["deep arrays that end", "[".repeat(100_000) + "]".repeat(100_000)],
    ["deep objects", '{"a":'.repeat(100_000)],
    ["deep rules", `{"name":"x","rules":${"[".repeat(40)}${"]".repeat(40)}}`],
    ["quotes that do not end", `"${'\\"'.repeat(500_000)}`],
    ["nothing", ""],
    ["a comment", "{} // x"],
  ])("%s are 400", async (_name, body) => {
    const { ask } = await setup()
    const said = await ask("POST", "/ingresses", { body, headers: { "content-type": "application/json" } })
    const message = "the body must be valid JSON of at most 32 levels"
    expect([said.status, said.body]).toEqual([400, { code: "bad_request", message }])
  })

  it("that are no UTF-8 are 400, and nothing is put in the place of what cannot be read", async () => {
    const { api } = await setup()
    const headers = { authorization: `Bearer ${tokens.operator}`, "content-type": "application/json" }
    const text = JSON.stringify({ ...documented(), name: "NAME" })
    const body = Buffer.from(text.replace("NAME", "\xff"), "latin1")
    const response = await api.fetch(new Request("http://api.test/ingresses", { method: "POST", headers, body }))
    expect([response.status, (await response.json()).message]).toEqual([400, expect.stringContaining("valid JSON")])
  })

  it("that are no JSON by their fields are 415", async () => {
    const { ask } = await setup()
    const body = JSON.stringify(documented())
    const types = [
      "",
      "text/json",
      "application/x-www-form-urlencoded",
      "application/json; charset=utf-16",
      "application/json, text/html",
    ]
    for (const type of types) {
      expect((await ask("POST", "/ingresses", { body, headers: { "content-type": type } })).status).toBe(415)
    }
    expect((await ask("POST", "/ingresses", { body, headers: { "content-encoding": "gzip" } })).status).toBe(415)
    const charset = { "content-type": "Application/JSON; charset=UTF-8" }
    expect((await ask("POST", "/ingresses", { body, headers: charset })).status).toBe(201)
  })

  it("with a name twice are read once: what is stored is what is shown", async () => {
    const { ask, ingresses } = await setup()
    const body = JSON.stringify(documented()).replace('"name"', '"name":"first","name"')
    const said = await ask("POST", "/ingresses", { body })
    expect([said.body.name, (await ingresses.read("my-api-ingress")).name]).toEqual([
      "my-api-ingress",
      "my-api-ingress",
    ])
  })

  it.each([
    ["the document", '{"__proto__":{"name":"x"},"name":"x","rules":[]}'],
    [
      "a rule",
      '{"name":"x","rules":[{"__proto__":{"tls":true},"match":{"hostname":"a.example.com"},"target":{"machine":"mach_1","port":1}}]}',
    ],
    ["constructor", '{"name":"x","constructor":{"prototype":{"a":1}},"rules":[]}'],
  ])("%s of a name that objects have is refused, and changes no object", async (_name, body) => {
    const { ask } = await setup()
    expect((await ask("POST", "/ingresses", { body })).status).toBe(400)
    expect((await ask("PUT", "/ingresses/x", { body })).status).toBeGreaterThanOrEqual(400)
    expect(({} as Record<string, unknown>)["a"]).toBeUndefined()
  })

  it("with a secret are quoted by no error", async () => {
    const { ask } = await setup()
    const header = (requireHeader: unknown) => ({
      name: "x",
      rules: [{ match: { hostname: "a.example.com" }, target: { machine: "mach_1", port: 1 }, requireHeader }],
    })
    const wrong = [
      header({ name: "x-key", value: `${secret}\n` }),
      header({ name: "x-key", value: secret, sha256: "0".repeat(64) }),
      header({ name: "x-key", value: { [secret]: 1 } }),
      header({ name: "host", value: secret }),
      `{"name": "${secret}`,
    ]
    for (const body of wrong) {
      const { status, text } = await ask("POST", "/ingresses", { body })
      expect([status, text.includes("0123456789-0123")]).toEqual([400, false])
    }
  })
})

describe("paths", () => {
  it.each([
    "/ingresses/..",
    "/ingresses/%2e%2e%2fgrants",
    "/ingresses/..%2f..%2fetc%2fpasswd",
    "/ingresses/a%2fb",
    "/ingresses/%00",
    "/ingresses/%",
    "/ingresses/%E0%A4%A",
    "/ingresses/a%0d%0aX-Y:1",
    "/ingresses/%5c%5c",
    "/ingresses//",
    "/ingresses/",
    "//ingresses",
    "/ingresses/constructor/status",
    "/ingresses/__proto__",
    "/__proto__",
    "/constructor",
    `/ingresses/${"a".repeat(4_000)}`,
    "/grants/%2e%2e",
  ])("%s is 404, and no storage is asked for what is no id", async (path) => {
    const asked: string[] = []
    const { ingresses } = await setup()
    const read = (reference: string) => {
      asked.push(reference)
      return ingresses.read(reference)
    }
    const api = ingressApi({
      ingresses: { ...ingresses, read, status: async (id) => (await read(id)) as never },
      tokens: [{ token: tokens.operator }],
    })
    const headers = { authorization: `Bearer ${tokens.operator}` }
    expect([404, 405]).toContain((await api.fetch(new Request(`http://api.test${path}`, { headers }))).status)
    expect(asked.every((id) => /^\w{1,128}$/.test(id))).toBe(true)
  })

  it("%61 is a", async () => {
    const { ask } = await setup()
    await ask("POST", "/ingresses", { body: documented() })
    expect((await ask("GET", "/ingresses/%6dy-api-ingress")).status).toBe(200)
  })

  it("outside of the base path are not the API's", async () => {
    const { api } = await setup({ basePath: "/v1" })
    const headers = { authorization: `Bearer ${tokens.operator}` }
    for (const path of ["/ingresses", "/v1ingresses", "/v11/ingresses", "/v1", "/V1/ingresses", "/docs"]) {
      expect((await api.fetch(new Request(`http://api.test${path}`, { headers }))).status).toBe(404)
    }
  })

  it("with a parameter that is unknown, repeated or invalid change nothing", async () => {
    const { ask } = await setup()
    for (const query of ["dryrun=true", "dryRun=1", "dryRun=", "dryRun=true&dryRun=false", "__proto__=1", "x"]) {
      const said = await ask("POST", `/ingresses?${query}`, { body: documented() })
      expect([query, said.status, said.body.code]).toEqual([query, 400, "bad_request"])
    }
    for (const query of ["limit=0", "limit=1001", "limit=x", "limit=1.5", "cursor=", "cursor=%00", "limit=1&limit=2"]) {
      expect([query, (await ask("GET", `/ingresses?${query}`)).status]).toEqual([query, 400])
    }
    expect((await ask("GET", "/ingresses")).body).toEqual({ ingresses: [] })
  })
})

describe("tokens", () => {
  const status = async (authorization: string | undefined, options = {}) => {
    const { api } = await setup(options)
    const headers = authorization === undefined ? {} : { authorization }
    const response = await api.fetch(new Request("http://api.test/ingresses", { headers }))
    return [response.status, response.headers.get("www-authenticate")] as const
  }
  const ok = [200, null] as const

  it("are of the scheme bearer in any case", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER", "bEaReR "])
      expect(await status(`${scheme} ${tokens.operator}`)).toEqual(ok)
  })

  it("that are not accepted are an error, and their absence is none (RFC 6750 §3.1)", async () => {
    const none = [401, 'Bearer realm="ingress"'] as const
    for (const field of [
      undefined,
      "",
      "Bearer",
      "Basic eDp5",
      `Bearer${tokens.operator}`,
      `Bearer ${tokens.operator}, Bearer x`,
      `Token ${tokens.operator}`,
    ]) {
      expect(await status(field)).toEqual(none)
    }
    const wrong = [401, 'Bearer realm="ingress", error="invalid_token"'] as const
    const { operator } = tokens
    for (const token of [operator.slice(0, -1), `${operator}0`, operator.toUpperCase(), "x", "a".repeat(4_096)]) {
      expect(await status(`Bearer ${token}`)).toEqual(wrong)
    }
    expect(await status(`Bearer ${"a".repeat(100_000)}`)).toEqual(none)
  })

  it("may be given as their hash", async () => {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tokens.alice)))
    const sha256 = Buffer.from(digest).toString("hex")
    expect(await status(`Bearer ${tokens.alice}`, { tokens: [{ sha256, owner: "alice" }] })).toEqual(ok)
    expect((await status(`Bearer ${sha256}`, { tokens: [{ sha256, owner: "alice" }] }))[0]).toBe(401)
  })

  it("open nothing if authenticate makes a mistake", async () => {
    for (const given of [null, true, "alice", { owner: "" }, { owner: null }, { owner: 7 }, false]) {
      expect((await status(`Bearer ${tokens.operator}`, { authenticate: () => given }))[0]).toBe(500)
    }
    const failing = { authenticate: () => Promise.reject(new Error(secret)) }
    expect((await status(`Bearer ${tokens.operator}`, failing))[0]).toBe(500)
    expect((await status(`Bearer ${tokens.operator}`, { authenticate: async () => undefined }))[0]).toBe(401)
  })
})

describe("fields", () => {
  it("If-Match is an entity tag, * or refused", async () => {
    const { ask } = await setup()
    await ask("POST", "/ingresses", { body: documented() })
    const put = async (tag: string) =>
      (await ask("PUT", "/ingresses/my-api-ingress", { body: documented(), headers: { "if-match": tag } })).status
    for (const tag of ["1", '"', '"1', "W/1", '"1", "2"', "*, *", "", '"1"x', "'1'"])
      expect([tag, await put(tag)]).toEqual([tag, 400])
    for (const tag of [
      'W/"1"',
      '""',
      '"x"',
      '"01"',
      '"1.0"',
      '"-1"',
      '"9007199254740993"',
      '"1e0"',
      `"${"1".repeat(400)}"`,
    ]) {
      expect([tag, await put(tag)]).toEqual([tag, 412])
    }
    expect(await put('"1"')).toBe(200)
  })

  it("no name of an ingress gets into a field of a response", async () => {
    const { ask } = await setup()
    for (const name of ["x\r\nset-cookie: a=b", "x\u0000", "ü", "<script>"]) {
      const { status, headers } = await ask("POST", "/ingresses", { body: documented("x.example.com", name) })
      expect([status, headers.has("set-cookie"), headers.has("location")]).toEqual([400, false, false])
    }
  })

  it("no origin is allowed to read, and no response is stored", async () => {
    const { ask } = await setup()
    for (const [method, path] of [
      ["GET", "/ingresses"],
      ["OPTIONS", "/ingresses"],
      ["GET", "/docs"],
      ["GET", "/x"],
    ] as const) {
      const { headers } = await ask(method, path, { headers: { origin: "https://evil.example" } })
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([])
      expect([headers.get("cache-control"), headers.get("x-content-type-options")]).toEqual(["no-store", "nosniff"])
    }
  })
})

describe("failures", () => {
  it("of whatever kind are 500 without their text, and their cause goes to onError", async () => {
    const thrown: readonly unknown[] = [
      new Error(secret),
      secret,
      undefined,
      null,
      { _tag: "NotFound", message: secret },
      Object.assign(new Error(secret), { _tag: "toString" }),
    ]
    for (const failure of thrown) {
      const seen: unknown[] = []
      const onError = (error: unknown) => {
        seen.push(error)
        throw new Error("a mistake in the hook")
      }
      const ingresses = { ...(await setup()).ingresses, list: () => Promise.reject(failure) }
      const api = ingressApi({ ingresses, tokens: [{ token: tokens.operator }], onError })
      const headers = { authorization: `Bearer ${tokens.operator}` }
      const response = await api.fetch(new Request("http://api.test/ingresses", { headers }))
      expect([response.status, await response.json()]).toEqual([
        500,
        { code: "internal_error", message: "the request failed" },
      ])
      expect(seen).toEqual([failure])
    }
  })
})
