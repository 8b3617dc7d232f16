import { describe, expect, it } from "vitest"
import { DnsFailed } from "@project-ingress/ingress/dns"
import { createExpose, recordsHandler } from "@project-ingress/ingress/expose"
import type { ExposeOptions, RecordsHandlerOptions } from "@project-ingress/ingress/expose"
import { fakeDns, testIngresses, memoryStorage } from "./fakes.ts"
import type { Faults } from "./fakes.ts"

// The cases of a DNS manager's documented API, by their ids. `ours` is where its response hides what is wrong, and ours does not.
const domain = "internal.example.com"
const token = "records-token-0123456789"
const proxy = "100.64.0.1"
const device = "100.64.0.2"

const setUp = (
  options: Partial<RecordsHandlerOptions> = {},
  { foreign = [] as string[], ...more }: Partial<ExposeOptions> & { foreign?: string[] } = {},
) => {
  const faults: Faults = { next: new Map() }
  const { storage, documents } = memoryStorage(faults)
  const { dns, records } = fakeDns(faults, foreign)
  const ingresses = testIngresses(storage, faults)
  let time = Date.UTC(2026, 10, 30, 12)
  const expose = createExpose({
    ingresses,
    storage,
    dns,
    address: proxy,
    domain,
    allowedTargets: ["100.64.0.0/10"],
    now: () => time++,
    ...more,
  })
  const errors: unknown[] = []
  const handler = recordsHandler({ expose, authenticate: token, onError: (error) => errors.push(error), ...options })
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await handler(
      new Request(`http://dns.example.com:8080${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    )
    const text = await response.text()
    const type = response.headers.get("content-type")
    return {
      status: response.status,
      type,
      headers: response.headers,
      body: type === "application/json" ? (JSON.parse(text) as unknown) : text,
    }
  }
  return { call, handler, records, documents, faults, errors, expose, storage }
}

const three = { service_name: "internal", name: "llm", port: 8080 }
const six = {
  service_name: "llm-service",
  name: `llm.${domain}`,
  ip: proxy,
  port: 8080,
  forward_to_ip: device,
  proxy_enabled: true,
}

describe("POST /add-record", () => {
  it("2-01: three fields make a record that leads to the proxy, and a rule", async () => {
    const { call, records } = setUp()
    const { status, type, body } = await call("POST", "/add-record", { ...three, target_device: device })
    expect([status, type]).toEqual([201, "application/json"])
    expect(body).toEqual({
      name: "llm",
      type: "A",
      ip: proxy,
      proxy_rule: {
        enabled: true,
        target_ip: device,
        target_port: 8080,
        protocol: "http",
        hostname: `llm.${domain}`,
        created_at: "1970-01-01T00:00:01.000Z",
      },
      created_at: "2026-11-30T12:00:00.000Z",
      updated_at: "2026-11-30T12:00:00.000Z",
    })
    expect([...records.values()]).toEqual([[{ name: `llm.${domain}`, type: "A", content: proxy }]])
  })
  it("the brief's own six fields do the same", async () => {
    const { call } = setUp()
    const { status, body } = await call("POST", "/add-record", six)
    expect(status).toBe(201)
    expect(body).toMatchObject({
      name: `llm.${domain}`,
      ip: proxy,
      proxy_rule: { target_ip: device, target_port: 8080, protocol: "http", hostname: `llm.${domain}` },
    })
  })
  it.each<[string, object, string]>([
    ["three fields: to the device", { service_name: "internal", name: "llm", target_device: device }, device],
    [
      "six fields: to `ip`, in networks of targets",
      { ...six, port: undefined, proxy_enabled: false, ip: device },
      device,
    ],
    [
      "six fields with a port, and `proxy_enabled` false",
      { ...six, proxy_enabled: false, ip: "100.64.0.3" },
      "100.64.0.3",
    ],
    ["null is absent", { ...three, port: null, target_device: device, protocol: null }, device],
  ])("2-02: without a port there is no rule; %s", async (_what, body, ip) => {
    const { call } = setUp()
    const response = await call("POST", "/add-record", body)
    expect(response.status).toBe(201)
    expect(response.body).toMatchObject({ ip })
    expect(response.body).not.toHaveProperty("proxy_rule")
  })
  it("2-03: the target is the device that is named; else the caller's; else the proxy's own host", async () => {
    const target = async (body: object, options: Partial<RecordsHandlerOptions>) => {
      const { call } = setUp(options)
      return ((await call("POST", "/add-record", body)).body as { proxy_rule?: { target_ip: string } }).proxy_rule
        ?.target_ip
    }
    const clientAddress = () => "100.64.0.7"
    const findDevice = (name: string) => (name === "antarus" ? "100.64.0.8" : undefined)
    expect(await target({ ...three, target_device: "antarus" }, { clientAddress, findDevice })).toBe("100.64.0.8")
    expect(await target({ ...three, target_device: device }, { clientAddress, findDevice })).toBe(device)
    expect(await target(three, { clientAddress })).toBe("100.64.0.7")
    expect(await target(three, { clientAddress: () => "::ffff:100.64.0.7" })).toBe("100.64.0.7")
    expect(await target(three, {})).toBe(proxy)
    expect(await target({ ...six, forward_to_ip: undefined }, { clientAddress })).toBe("100.64.0.7")
  })
  it("2-04: the protocol https is the target's", async () => {
    const { call, documents } = setUp()
    await call("POST", "/add-record", { ...three, protocol: "https" })
    expect([...documents.values()].find(({ kind }) => kind === "ingress")).toMatchObject({
      rules: [{ targets: [{ host: proxy, port: 8080, protocol: "https" }] }],
    })
  })
  it("2-06: a failure of DNS is 502 and says so, and nothing is left", async () => {
    const { call, faults, errors, documents } = setUp()
    faults.next.set("dns.put", { skip: 0, when: "before" })
    expect(await call("POST", "/add-record", three)).toMatchObject({
      status: 502,
      body: { error: "failed to add DNS record" },
    })
    expect(errors).toHaveLength(1)
    const down = setUp(
      {},
      {
        dns: {
          name: "x",
          list: async () => [],
          put: () => Promise.reject(new DnsFailed({ provider: "x", reason: "secret-zone-id", retryAfterMs: 1_500 })),
        },
      },
    )
    const response = await down.call("POST", "/add-record", three)
    expect(response).toMatchObject({ status: 502, body: { error: "failed to add DNS record" } })
    expect(response.headers.get("retry-after")).toBe("2")
    expect([documents.size, down.documents.size]).toEqual([0, 0])
  })
  it.each(["GET", "PUT", "DELETE"])("2-07: %s is 405", async (method) => {
    const { call } = setUp()
    const { status, body, headers } = await call(method, "/add-record")
    expect([status, body, headers.get("allow")]).toEqual([405, "Method not allowed\n", "POST"])
  })
  it.each(["{", "", "[]", "null", '"x"', `{"a":"${"x".repeat(70_000)}"}`])(
    "2-08: the body %.20s is 400",
    async (text) => {
      const { call, records } = setUp()
      expect(await call("POST", "/add-record", text)).toMatchObject({
        status: 400,
        body: "Invalid request body\n",
        type: "text/plain; charset=utf-8",
      })
      expect(records.size).toBe(0)
    },
  )
  it.each<[string, string, object, string]>([
    ["2-09", "no name", { name: undefined }, "name"],
    ["2-09", "no service_name", { service_name: undefined }, "service_name"],
    ...[-80, 70_000, 0, -1, 65_536, "8080", 1.5].map((port): [string, string, object, string] => [
      "2-13",
      `the port ${port}`,
      { port },
      "port",
    ]),
    ...["Internal", "my_service", "a@b", "-a", "a-", "a".repeat(64), "a--b", 5].map(
      (name): [string, string, object, string] => [
        "2-10",
        `the service ${name}`,
        { service_name: name },
        "service_name",
      ],
    ),
    ...["web.app", "WebApp", "web_app"].map((name): [string, string, object, string] => [
      "2-11",
      `the name ${name}`,
      { name },
      "name",
    ]),
    ["2-14", "the protocol ftp", { protocol: "ftp" }, "protocol"],
    ...["192.168.1", "100.64.0.256", "100.64.01.1", "100.64.0.a", "antarus", "10.0.0.1", 5, {}].map(
      (target): [string, string, object, string] => [
        "2-15",
        `the device ${JSON.stringify(target)}`,
        { target_device: target },
        "target_device",
      ],
    ),
    ["ours", "a field that is not there", { prot: 80 }, "prot"],
    ["ours", "a target with a line break", { target_device: "100.64.0.2\n" }, "target_device"],
  ])("%s, ours: %s is 400 with the field", async (_id, _what, more, field) => {
    const { call, records, documents } = setUp()
    const { status, body } = await call("POST", "/add-record", { ...three, ...more })
    expect(status).toBe(400)
    expect(body).toEqual({ error: expect.stringContaining(`${field} must be `), field })
    expect([records.size, documents.size]).toEqual([0, 0])
  })
  it.each<[string, object, string]>([
    ["another address than the proxy's", { ip: "100.64.0.9" }, "ip"],
    ["an `ip` in octal", { ip: "100.64.0.01" }, "ip"],
    ["a target elsewhere", { forward_to_ip: "10.0.0.1" }, "forward_to_ip"],
    ["a target that is no address", { forward_to_ip: "antarus" }, "forward_to_ip"],
    ["one label", { name: "llm" }, "name"],
    ["a name elsewhere", { name: "llm.example.org" }, "name"],
    ["a name with an underscore", { name: `l_m.${domain}` }, "name"],
    ["a proxy without a port", { port: undefined }, "port"],
    ["proxy_enabled as text", { proxy_enabled: "true" }, "proxy_enabled"],
    ["a device, too", { target_device: device }, "target_device"],
    ["an address elsewhere for DNS only", { proxy_enabled: false, ip: "10.0.0.1" }, "ip"],
  ])("six fields: %s is 400 with the field", async (_what, more, field) => {
    const { call, records } = setUp()
    const { status, body } = await call("POST", "/add-record", { ...six, ...more })
    expect(status).toBe(400)
    expect(body).toMatchObject({ error: expect.stringContaining(`${field} must be `), field })
    expect(records.size).toBe(0)
  })
  it.each(["web-app", "app123"])("2-11: the name %s is valid", async (name) => {
    const { call } = setUp()
    expect((await call("POST", "/add-record", { ...three, name })).status).toBe(201)
  })
  it.each([1, 65_535])("2-13: the port %i is valid", async (port) => {
    const { call } = setUp()
    expect((await call("POST", "/add-record", { ...three, port })).status).toBe(201)
  })
  it("2-18: the same name again has the new target, and is one record", async () => {
    const { call } = setUp()
    await call("POST", "/add-record", three)
    await call("POST", "/add-record", { ...three, port: 9090, target_device: device })
    const { body } = await call("GET", "/list-records")
    expect(body).toMatchObject([{ name: "llm", proxy_rule: { target_ip: device, target_port: 9090 } }])
  })
  it("2-25: ten at the same time are all there", async () => {
    const { call } = setUp()
    await Promise.all(Array.from({ length: 10 }, (_, i) => call("POST", "/add-record", { ...three, name: `n${i}` })))
    expect((await call("GET", "/list-records")).body).toHaveLength(10)
  })
  it("ours: a name that somebody else has is 409", async () => {
    const { call } = setUp({}, { foreign: [`llm.${domain}`] })
    expect(await call("POST", "/add-record", three)).toMatchObject({ status: 409, body: { field: "name" } })
  })
  it("ours: a failed route is an error, never 201 with the rule missing", async () => {
    const { call, faults, records } = setUp()
    faults.next.set("ingresses.create", { skip: 0, when: "before" })
    expect(await call("POST", "/add-record", three)).toMatchObject({ status: 500, body: "Failed to create record\n" })
    expect(records.size).toBe(0)
  })
})

describe("GET /list-records", () => {
  it("has all by name, with rules: short below the domain, else full", async () => {
    const { call } = setUp()
    await call("POST", "/add-record", six)
    await call("POST", "/add-record", { ...six, name: `a.b.${domain}` })
    await call("POST", "/add-record", { service_name: "x", name: "nas", target_device: device })
    const { status, body } = await call("GET", "/list-records")
    expect(status).toBe(200)
    expect(body).toMatchObject([
      { name: `a.b.${domain}`, proxy_rule: {} },
      { name: "llm", proxy_rule: { hostname: `llm.${domain}` } },
      { name: "nas", ip: device },
    ])
  })
  it("2-20: is empty without any, and 2-07: 405 for POST", async () => {
    const { call } = setUp()
    expect(await call("GET", "/list-records")).toMatchObject({ status: 200, body: [], type: "application/json" })
    expect(await call("POST", "/list-records", {})).toMatchObject({ status: 405 })
  })
  it("is 500 with the documented text when the storage is down", async () => {
    const { call, storage } = setUp()
    storage.read = () => Promise.reject(new Error("postgres://secret"))
    expect(await call("GET", "/list-records")).toMatchObject({ status: 500, body: "Failed to list records\n" })
  })
})

describe("DELETE /remove-record", () => {
  it.each(["llm", `llm.${domain}`])("2-28: removes %s, and 2-17: does so again", async (name) => {
    const { call, records, documents } = setUp()
    await call("POST", "/add-record", three)
    for (let i = 0; i < 2; i++) {
      const { status, body } = await call("DELETE", "/remove-record", { service_name: "internal", name })
      expect([status, body]).toEqual([200, { message: "Record removed successfully" }])
      expect([records.size, documents.size]).toEqual([0, 0])
    }
  })
  it("2-28: is 400 for an invalid body or name, and 405 for another method", async () => {
    const { call } = setUp()
    expect(await call("DELETE", "/remove-record", "{")).toMatchObject({ status: 400, body: "Invalid request body\n" })
    expect(await call("DELETE", "/remove-record", {})).toMatchObject({ status: 400, body: { field: "name" } })
    expect(await call("DELETE", "/remove-record", { name: 5 })).toMatchObject({ status: 400 })
    expect(await call("POST", "/remove-record", { name: "llm" })).toMatchObject({ status: 405 })
  })
  it("is an error while DNS is down, and the record stays", async () => {
    const { call, faults, records } = setUp()
    await call("POST", "/add-record", three)
    faults.next.set("dns.put", { skip: 0, when: "before" })
    expect(await call("DELETE", "/remove-record", { name: "llm" })).toMatchObject({
      status: 502,
      body: { error: "failed to remove DNS record" },
    })
    expect(records.size).toBe(1)
  })
})

describe("who may call", () => {
  it.each([
    { authorization: "" },
    { authorization: "Bearer wrong-token-0123456789" },
    { authorization: `Basic ${token}` },
  ])("401 with %j, before anything is said of methods", async (headers) => {
    const { call } = setUp()
    for (const [method, path] of [
      ["POST", "/add-record"],
      ["GET", "/add-record"],
      ["GET", "/list-records"],
      ["DELETE", "/remove-record"],
    ] as const) {
      const response = await call(method, path, method === "GET" ? undefined : {}, headers)
      expect(response).toMatchObject({ status: 401 })
      expect(response.headers.get("www-authenticate")).toBe("Bearer")
    }
  })
  it("2-26, ours: callers are known by their connection, and never by a field", async () => {
    const addressed = (address: string | undefined) =>
      setUp({ allowedSources: ["100.64.0.0/10"], clientAddress: () => address }).call(
        "GET",
        "/list-records",
        undefined,
        {
          "x-forwarded-for": "100.64.0.5",
          "x-real-ip": "100.64.0.5",
          forwarded: "for=100.64.0.5",
        },
      )
    for (const address of ["203.0.113.5", undefined, "", "100.64.0.5, 1.2.3.4"])
      expect((await addressed(address)).status).toBe(403)
    for (const address of ["100.64.0.5", "::ffff:100.64.0.5"]) expect((await addressed(address)).status).toBe(200)
  })
  it("a tenant has names of its own only", async () => {
    const { call, handler } = setUp({
      authenticate: (request) => ({ owner: request.headers.get("x-owner") ?? "none" }),
    })
    await call("POST", "/add-record", three, { "x-owner": "org_1" })
    expect(await call("POST", "/add-record", three, { "x-owner": "org_2" })).toMatchObject({ status: 409 })
    expect((await call("GET", "/list-records", undefined, { "x-owner": "org_2" })).body).toEqual([])
    await call("DELETE", "/remove-record", { name: "llm" }, { "x-owner": "org_2" })
    expect((await call("GET", "/list-records", undefined, { "x-owner": "org_1" })).body).toHaveLength(1)
    expect(handler).toBeTypeOf("function")
  })
  it("an error of authenticate is 500 without its text", async () => {
    const { call, errors } = setUp({ authenticate: () => Promise.reject(new Error("secret")) })
    const { status, body } = await call("GET", "/list-records")
    expect([status, body, errors.length]).toEqual([500, { error: "internal error" }, 1])
  })
  it("what is no caller is 500, and not the operator", async () => {
    for (const caller of [true, "org_1", { owner: "" }, null, { owner: 1 }]) {
      const { call } = setUp({ authenticate: () => caller as never })
      expect([caller, (await call("GET", "/list-records")).status]).toEqual([caller, 500])
    }
  })
  it.each([
    { origin: "https://evil.example" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("a page of another origin is not its visitor: %j", async (headers) => {
    const addressed = { allowedSources: ["100.64.0.0/10"], clientAddress: () => "100.64.0.5" }
    const { call, records } = setUp({ ...addressed, authenticate: () => ({}) })
    const simple = { "content-type": "text/plain", ...headers }
    expect((await call("POST", "/add-record", three, simple)).status).toBe(403)
    expect(records.size).toBe(0)
    const own = { origin: "http://dns.example.com:8080", "sec-fetch-site": "same-origin" }
    expect((await call("POST", "/add-record", three, own)).status).toBe(201)
  })
  it("other paths are 404", async () => {
    const { call } = setUp()
    for (const path of ["/", "/add-record/", "/x/add-record", "/constructor", "/health"])
      expect((await call("GET", path)).status).toBe(404)
  })
  it.each<[Partial<RecordsHandlerOptions>, RegExp]>([
    [{ authenticate: undefined as never }, /authenticate or allowedSources must be given/],
    [{ authenticate: undefined as never, allowedSources: ["100.64.0.0/10"] }, /clientAddress must be given/],
    [{ authenticate: "short" }, /authenticate must be/],
    [{ allowedSources: ["0.0.0.0/0"], clientAddress: () => "" }, /holds every address/],
  ])("options %j are refused", (options, message) => {
    expect(() => setUp(options)).toThrow(message)
  })
})
