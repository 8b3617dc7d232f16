import { inspect } from "node:util"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { cloudflareTunnel, createTunnel, deleteTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import type { TunnelApiOptions } from "../src/adapters/cloudflare/tunnel.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine, MachineProvider, PlatformResponse } from "../src/contract/machine-provider.ts"
import { at } from "./at.ts"
import { fakeCloudflare } from "./fakes/cloudflare-api.ts"
import type { Break, FakeCloudflare } from "./fakes/cloudflare-api.ts"
import { cloudflareEdge } from "./fakes/cloudflare-edge.ts"
import { fakeMachine } from "./fakes/daytona-machine.ts"
import { answer, listen } from "./fakes/http.ts"

const signal = new AbortController().signal
const access = { clientId: "canary-id.access", clientSecret: "canary-secret" }
const machineOf = (metadata: Machine["metadata"]): Machine => ({
  id: "mach_1",
  type: "cloudflare-tunnel",
  externalId: "m1",
  metadata,
})
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => ({ value }),
    (error) => error,
  )

describe("a machine behind a tunnel", () => {
  const resolve = (metadata: Machine["metadata"], provider = cloudflareTunnel({ access })) =>
    provider.resolve(machineOf(metadata), { port: 3000, signal })

  it("is at its hostname, with the service token when there is one", async () => {
    expect(await resolve({ hostname: "m1.example.com" })).toEqual({
      origin: "https://m1.example.com",
      headers: { "CF-Access-Client-Id": access.clientId, "CF-Access-Client-Secret": access.clientSecret },
      addresses: { allowCidrs: [] },
      epoch: "m1.example.com",
      ttlMs: 60_000,
    })
    expect(await resolve({ hostname: "m1.example.com" }, cloudflareTunnel())).toMatchObject({ headers: {} })
  })

  it.each([
    undefined,
    1,
    "",
    "localhost",
    "M1.example.com",
    "m1.example.com.",
    "m1.example.com:443",
    "user@m1.example.com",
    "m1.example.com/path",
    "-m1.example.com",
    "m1..example.com",
    "192.0.2.1",
    `${"a".repeat(64)}.example.com`,
    `${"a.".repeat(125)}example.com`,
  ])("needs a hostname and not %j", async (hostname) => {
    expect(await caught(resolve({ hostname }))).toMatchObject({ _tag: "MachineRecordInvalid", field: "hostname" })
  })

  it.each([
    { clientId: "", clientSecret: "x" },
    { clientId: "canary", clientSecret: "" },
    { clientId: "canary", clientSecret: "canary\r\nx: y" },
  ])("has a service token that fits into headers: %j", (access) => {
    expect(() => cloudflareTunnel({ access })).toThrow(TypeError)
    expect(() => cloudflareTunnel({ access })).not.toThrow(/canary/)
  })

  const classify = (status: number, headers: Record<string, string> = {}, body?: string) => {
    const seen: PlatformResponse = { status, header: (name) => headers[name], ...(body === undefined ? {} : { body }) }
    return cloudflareTunnel({ access }).classify!(seen, machineOf({ hostname: "m1.example.com" }))
  }
  it.each([
    ...[301, 302, 303, 307, 308, 401, 403].map((status) => [status, {}, { _tag: "ProviderAuth" }] as const),
    [429, { "retry-after": "7" }, { _tag: "ProviderRateLimited", retryAfterMs: 7_000 }],
    [429, {}, { _tag: "ProviderRateLimited", retryAfterMs: undefined }],
    [200, {}, { _tag: "ProviderUnavailable", reason: "HTTP 200 without the stamp of the machine's proxy" }],
    [404, {}, { _tag: "ProviderUnavailable" }],
    [500, {}, { _tag: "ProviderUnavailable" }],
  ] as const)("whose edge answers %i %j itself is %j", (status, headers, failure) => {
    expect(classify(status, headers)).toMatchObject(failure)
  })
  it.each([502, 503, 504, 520, 522, 530])("whose edge answers %i itself may not run", (status) => {
    expect(classify(status)).toBe("check-status")
  })
  it.each(["error code: 1033", `{"error_code":1033,"cloudflare_error":true}`, "<h1>Error <span>1033</span></h1>"])(
    "whose edge says %j does not run",
    (body) => {
      expect(classify(530, {}, body)).toMatchObject({ _tag: "MachineNotRunning" })
    },
  )
  it("whose edge says another error may not run", () => {
    expect(classify(530, {}, "error code: 1016")).toBe("check-status")
  })

  it("is reached with the service token, which stays at the edge, and is no login page without it", async () => {
    const machine = await fakeMachine()
    const edge = await cloudflareEdge({ access })
    const tunnel = await edge.hostname("m1.example.com")
    tunnel.service = machine.proxyPort
    // The hostname resolves nowhere: the same endpoint, at the fake's address.
    const fetcher = (provider: MachineProvider) =>
      machineFetcher(
        at(provider, { "https://m1.example.com": tunnel.origin }),
        machineOf({ hostname: "m1.example.com" }),
        { port: machine.appPort, signingKey: machine.signing },
      )
    const headers = { authorization: "Bearer app", "cf-access-client-id": "forged", cookie: "a=1" }
    const request = (): Request => new Request("http://app.test/", { headers })
    const reached = await fetcher(cloudflareTunnel({ access }))(request())
    expect(reached.status).toBe(299)
    expect(await reached.text()).toContain("Bearer app")
    expect(JSON.stringify(edge.forwarded)).not.toMatch(/canary|forged/)
    expect(await caught(fetcher(cloudflareTunnel())(request()))).toMatchObject({ _tag: "ProviderAuth" })
    expect(edge.logins).toEqual([])
    await Promise.all([machine.close(), edge.close()])
  })
})

describe("a named tunnel", () => {
  let cloud: FakeCloudflare
  let options: TunnelApiOptions
  beforeEach(async () => {
    cloud = await fakeCloudflare()
    const { apiBase, apiToken, accountId, zoneId } = cloud
    options = { apiBase, apiToken, accountId, zoneId }
  })
  afterEach(() => cloud.close())

  const wanted = { name: "machine-1", hostname: "m1.example.com" }
  const create = "POST /accounts/ACCOUNT/cfd_tunnel"
  const token = "GET /accounts/ACCOUNT/cfd_tunnel/ID/token"
  const configure = "PUT /accounts/ACCOUNT/cfd_tunnel/ID/configurations"
  const name = "POST /zones/ZONE/dns_records"
  const list = "GET /zones/ZONE/dns_records"
  const unname = "DELETE /zones/ZONE/dns_records/ID"
  const remove = "DELETE /accounts/ACCOUNT/cfd_tunnel/ID"
  const left = () => [cloud.tunnels.size, cloud.records.size]

  it("is made with its token, its rule and its name", async () => {
    const { id, token: secret } = await createTunnel(options, wanted)
    expect(cloud.calls).toEqual([create, token, configure, name])
    expect(cloud.tunnels.get(id)).toMatchObject({
      name: "machine-1",
      token: secret,
      config: {
        ingress: [{ hostname: "m1.example.com", service: "http://localhost:8080" }, { service: "http_status:404" }],
      },
    })
    expect([...cloud.records.values()]).toEqual([
      // vendors.md 7: the vendor's own client requires a `ttl`.
      { name: "m1.example.com", content: `${id}.cfargotunnel.com`, proxied: true, ttl: 1 },
    ])
  })

  it("is removed with its name, and once more without complaint", async () => {
    const { id } = await createTunnel(options, wanted)
    await deleteTunnel(options, { id, hostname: wanted.hostname })
    expect(left()).toEqual([0, 0])
    await deleteTunnel(options, { id, hostname: wanted.hostname })
  })

  it("is removed without a name that leads elsewhere by now", async () => {
    const { id } = await createTunnel(options, wanted)
    const [record] = cloud.records.keys()
    cloud.records.set(record!, { name: wanted.hostname, content: "other.cfargotunnel.com", proxied: true, ttl: 1 })
    await deleteTunnel(options, { id, hostname: wanted.hostname })
    expect(left()).toEqual([0, 1])
  })

  it("whose name is taken is a conflict, and the other tunnel stays", async () => {
    await createTunnel(options, wanted)
    expect(await caught(createTunnel(options, { ...wanted, hostname: "m2.example.com" }))).toMatchObject({
      _tag: "TunnelConflict",
      field: "name",
    })
    expect(left()).toEqual([1, 1])
  })

  it.each([81_053, 81_054, 81_057, 81_058])(
    "whose hostname is taken (%i) is a conflict, and nothing is left of it",
    async (code) => {
      await createTunnel(options, wanted)
      cloud.breaks.set(name, { status: 400, codes: [code] })
      expect(await caught(createTunnel(options, { ...wanted, name: "machine-2" }))).toMatchObject({
        _tag: "TunnelConflict",
        field: "hostname",
      })
      expect([...cloud.tunnels.values()].map(({ name }) => name)).toEqual(["machine-1"])
      expect(cloud.records.size).toBe(1)
    },
  )

  const failures: readonly (readonly [Break, object])[] = [
    [
      { status: 500, codes: [1_000] },
      { _tag: "ProviderUnavailable", reason: "HTTP 500 (1000)" },
    ],
    [{ status: 401, codes: [10_000] }, { _tag: "ProviderAuth" }],
    [{ status: 403 }, { _tag: "ProviderAuth" }],
    [
      { status: 429, retryAfter: "12" },
      { _tag: "ProviderRateLimited", retryAfterMs: 12_000 },
    ],
    ["lost", { _tag: "ProviderUnavailable" }],
  ]
  it.each(
    [token, configure, name].flatMap((step) => failures.map(([broken, failure]) => [step, broken, failure] as const)),
  )("leaves nothing behind when %s fails with %j", async (step, broken, failure) => {
    cloud.breaks.set(step, broken)
    expect(await caught(createTunnel(options, wanted))).toMatchObject(failure)
    expect(left()).toEqual([0, 0])
  })

  it("leaves nothing behind when its maker gives up", async () => {
    const gone = new AbortController()
    const reason = new Error("left")
    const send: TunnelApiOptions["fetch"] = async (url, init) => {
      if (url.endsWith("/configurations")) gone.abort(reason)
      return fetch(url, init)
    }
    expect(await caught(createTunnel({ ...options, fetch: send }, { ...wanted, signal: gone.signal }))).toBe(reason)
    expect(left()).toEqual([0, 0])
  })

  it.each([list, unname, remove])("says what is left when its removal fails at %s", async (step) => {
    if (step === unname) cloud.breaks.set(name, "lost")
    else cloud.breaks.set(configure, { status: 500 })
    cloud.breaks.set(step, { status: 500 })
    const failure = await caught(createTunnel(options, wanted))
    expect(failure).toMatchObject({
      _tag: "TunnelLeftBehind",
      id: [...cloud.tunnels.keys()][0],
      hostname: wanted.hostname,
      cause: { _tag: "ProviderUnavailable" },
    })
    cloud.breaks.clear()
    await deleteTunnel(options, failure as { id: string; hostname: string })
    expect(left()).toEqual([0, 0])
  })

  it.each([
    { ...wanted, name: "" },
    { ...wanted, name: "a\nb" },
    // vendors.md 7.
    { ...wanted, name: "F70FF985-a4ef-4643-bbbc-4a0ed4fc8415" },
    { ...wanted, hostname: "m1.example.com&name.exact=x" },
    { ...wanted, hostname: "m1" },
    { ...wanted, service: "http://localhost:8080/path" },
    { ...wanted, service: "tcp://localhost:22" },
  ])("is not made of %j", async (request) => {
    await expect(createTunnel(options, request)).rejects.toThrow(TypeError)
    expect(cloud.calls).toEqual([])
  })

  it.each([
    { apiToken: "canary\r\n" },
    { accountId: "../zones" },
    { zoneId: "a/b" },
    { apiBase: "https://user:canary@api.example" },
  ])("is not made with %j", async (more) => {
    const failure = await caught(createTunnel({ ...options, ...more }, wanted))
    expect(failure).toBeInstanceOf(TypeError)
    expect(String(failure)).not.toContain("canary")
    expect(cloud.calls).toEqual([])
  })

  it("that redirects is not followed, and no failure shows the token", async () => {
    const visits: string[] = []
    const elsewhere = await listen((request, response) => {
      visits.push(request.url!)
      answer(response, 200, {})
    })
    const api = await listen((_, response) => answer(response, 302, undefined, { location: elsewhere.origin }))
    const secret = cloud.apiToken
    const hostile: TunnelApiOptions["fetch"] = (_, init) =>
      Promise.reject(Object.assign(new Error(JSON.stringify(init)), { init, code: secret }))
    const seen = [
      await caught(createTunnel({ ...options, apiBase: api.origin }, wanted)),
      await caught(createTunnel({ ...options, fetch: hostile }, wanted)),
      await caught(createTunnel({ ...options, fetch: async () => new Response(secret) }, wanted)),
    ]
    expect(seen).toMatchObject([
      { reason: "HTTP 302" },
      { reason: "the API cannot be reached" },
      { reason: "HTTP 200" },
    ])
    for (const failure of seen) expect(inspect(failure, { depth: 20, showHidden: true })).not.toContain(secret)
    expect(visits).toEqual([])
    await Promise.all([elsewhere.close(), api.close()])
  })
})
