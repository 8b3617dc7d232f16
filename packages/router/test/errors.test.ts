import { describe, expect, it, onTestFinished, vi } from "vitest"
import { forwardErrors } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import * as Providers from "@project-ingress/providers"
import { providerErrors } from "@project-ingress/providers/internal"
import type { ProviderError } from "@project-ingress/providers"
import { routerErrors } from "../src/error-rows.ts"
import { AccessDenied, LoginRequired, PolicyError } from "../src/router.ts"
import type { RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, setup } from "./fakes.ts"

const where = { provider: "fake", machine: "ext-mach_1" }
const failing = (error: unknown) => ({ providers: [fake({ resolve: () => Promise.reject(error) })] })
const ask = (options: Partial<RouterOptions>, url = "http://misha.iterate.app/", headers = {}, method = "GET") =>
  setup(options).router.fetch(new Request(url, { headers, method })) as Promise<Response>
const program = { accept: "application/json" }
const navigation = { "sec-fetch-mode": "navigate", accept: "text/html" }

const errorRows = [
  ...Object.values(forwardErrors),
  ...Object.values(providerErrors),
  ...Object.values(routerErrors),
  new AccessDenied().row,
  new LoginRequired({ location: "/" }).row,
]

interface Row {
  readonly tag: string
  readonly status: number
  readonly code: string
  readonly retryAfter?: string
  readonly url?: string
  readonly headers?: Record<string, string>
  readonly options?: Partial<RouterOptions>
}

/** Without a time at which they are. */
const mayBeRetried = new Set(["PROVIDER_UNAVAILABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_FAILED"])

/** All of a response but the request's id, which is another one each time. */
const seenOf = async (response: Response) => {
  const id = response.headers.get("x-iterate-proxy-request-id")!
  const text = JSON.stringify([response.status, [...response.headers], await response.text()])
  expect(text).toContain(id)
  return text.replaceAll(id, "")
}

const unknown = (retryAfterMs?: number): Partial<RouterOptions> => ({
  store: {
    get: () => ({
      status: "unknown",
      cause: new Error("down"),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }),
  },
})
const provider = (error: ProviderError, status: number, code: string, retryAfter?: string): Row => ({
  tag: error._tag,
  status,
  code,
  options: failing(error),
  ...(retryAfter === undefined ? {} : { retryAfter }),
})

const rows: readonly Row[] = [
  { tag: "HostnameMalformed", status: 400, code: "HOSTNAME_MALFORMED", url: "http://0__misha.iterate.app/" },
  { tag: "RouteNotFound", status: 404, code: "ROUTE_NOT_FOUND", url: "http://nobody.iterate.app/" },
  { tag: "RouteNotFound of a service", status: 404, code: "ROUTE_NOT_FOUND", url: "http://web--misha.iterate.app/" },
  {
    tag: "RouteRemoved",
    status: 410,
    code: "ROUTE_REMOVED",
    options: { store: memoryStore({ "p:misha": { kind: "removed" } }) },
  },
  {
    tag: "MachineDetached",
    status: 503,
    code: "MACHINE_DETACHED",
    options: { store: memoryStore({ "p:misha": { kind: "detached" } }) },
  },
  { tag: "RouteUnknown", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "1", options: unknown() },
  { tag: "RouteUnknown, by the store", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "3", options: unknown(2_100) },
  // No client is sent away for longer than a day, and none is asked to come back at once.
  { tag: "RouteUnknown, ten days", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "86400", options: unknown(864e6) },
  { tag: "RouteUnknown, no time", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "1", options: unknown(0) },
  { tag: "RouteUnknown, before now", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "1", options: unknown(-5_000) },
  { tag: "RouteUnknown, NaN", status: 503, code: "ROUTE_UNKNOWN", retryAfter: "1", options: unknown(Number.NaN) },
  {
    tag: "AccessDenied",
    status: 403,
    code: "ACCESS_DENIED",
    options: { policies: [() => ({ deny: new AccessDenied() })] },
  },
  {
    tag: "LoginRequired",
    status: 401,
    code: "LOGIN_REQUIRED",
    options: { policies: [() => ({ deny: new LoginRequired({ location: "https://iterate.app/login" }) })] },
  },
  {
    tag: "LoopDetected",
    status: 508,
    code: "LOOP_DETECTED",
    headers: { via: Array.from({ length: 11 }, () => "1.1 ingress-router, 1.1 ingress-machine").join(", ") },
  },
  {
    tag: "UpgradeUnsupported",
    status: 501,
    code: "UPGRADE_UNSUPPORTED",
    headers: { connection: "upgrade", upgrade: "websocket" },
  },
  provider(new Providers.MachineNotFound(where), 404, "MACHINE_NOT_FOUND"),
  provider(new Providers.MachineNotRunning({ ...where, state: "exited" }), 503, "MACHINE_NOT_RUNNING", "5"),
  provider(new Providers.MachineNotRunning({ ...where, state: "archived" }), 503, "MACHINE_ARCHIVED"),
  provider(new Providers.MachineStartFailed({ ...where, starts: 3 }), 502, "MACHINE_START_FAILED"),
  provider(new Providers.MachineStarting({ ...where, retryAfterMs: 2_500 }), 503, "MACHINE_STARTING", "3"),
  provider(new Providers.MachineMismatch(where), 503, "MACHINE_MISMATCH", "1"),
  provider(new Providers.PortClosed({ ...where, port: 3000 }), 502, "PORT_CLOSED", "1"),
  provider(new Providers.ProviderAuth(where), 502, "PROVIDER_AUTH"),
  provider(new Providers.ProviderRateLimited({ ...where, retryAfterMs: 7_000 }), 503, "PROVIDER_RATE_LIMITED", "7"),
  provider(new Providers.ProviderUnavailable({ ...where, reason: "ECONNREFUSED" }), 502, "PROVIDER_UNAVAILABLE"),
  provider(
    new Providers.ProviderUnavailable({ ...where, reason: "ETIMEDOUT", timedOut: true }),
    504,
    "PROVIDER_UNAVAILABLE",
  ),
  provider(
    new Providers.MachineRecordInvalid({ ...where, field: "metadata.port", accepted: "a port" }),
    500,
    "MACHINE_RECORD_INVALID",
  ),
  provider(new Providers.UpstreamTimeout(where), 504, "UPSTREAM_TIMEOUT"),
  provider(new Providers.UpstreamFailed(where), 502, "UPSTREAM_FAILED"),
  {
    tag: "MachineRecordInvalid of an unknown type",
    status: 500,
    code: "PROVIDER_NOT_CONFIGURED",
    options: { providers: [] },
  },
  {
    tag: "UpstreamTimeout of the wire",
    status: 504,
    code: "UPSTREAM_TIMEOUT",
    options: { transport: () => Promise.reject(new SendFailure("timeout", "maybe")) },
  },
  {
    tag: "ProviderUnavailable of the wire",
    status: 502,
    code: "PROVIDER_UNAVAILABLE",
    options: { transport: () => Promise.reject(new SendFailure("other", "no")) },
  },
  {
    tag: "ProviderUnavailable without stamp",
    status: 502,
    code: "PROVIDER_UNAVAILABLE",
    options: { transport: async () => new Response("nginx says hello", { status: 502 }) },
  },
  {
    tag: "ProxyFailed",
    status: 500,
    code: "PROXY_FAILED",
    options: { policies: [() => Promise.reject(new Error("secret"))] },
  },
]

describe("every failure has one answer", () => {
  it.each(rows)("$tag: $status $code", async ({ status, code, url, headers, options, retryAfter }) => {
    const response = await ask(options ?? {}, url, { ...program, ...headers })
    expect(response.status).toBe(status)
    expect(response.headers.get("x-iterate-proxy-error")).toBe(code)
    expect(response.headers.get("content-type")).toBe("application/json")
    expect(response.headers.get("cache-control")).toBe("no-store")
    expect(response.headers.get("retry-after")).toBe(retryAfter ?? null)
    const { error, docs } = errorRows.find((row) => row.code === code && row.status === status)!
    expect(response.headers.get("proxy-status")).toBe(`ingress-router; error=${error}`)
    const requestId = response.headers.get("x-iterate-proxy-request-id")
    expect(requestId).toMatch(/^[a-z0-9]{10}-[a-z0-9]+$/)
    const body = (await response.json()) as Record<string, unknown>
    expect(Object.keys(body)).toEqual(["error", "message", "docs", "retryable", "requestId"])
    expect(body).toMatchObject({ error: code, docs, requestId })
    expect(body["retryable"]).toBe(retryAfter !== undefined || mayBeRetried.has(code))
    // What happened, and what to do, with no placeholder left.
    expect(body["message"]).toMatch(/^[A-Z\da-z][^{}]*\.(?: [A-Z"][^{}]*\.)+$/)
  })

  it.each(rows.filter(({ headers, status }) => !headers?.["upgrade"] && status !== 401))(
    "$tag: a page for a person",
    async ({ status, code, url, headers, options }) => {
      const response = await ask(options ?? {}, url, { ...headers, ...navigation })
      expect(response.status).toBe(status)
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8")
      expect(await response.text()).toContain(code)
    },
  )

  it("sends a person to the login, and a script or a WebSocket never", async () => {
    const policies = [() => ({ deny: new LoginRequired({ location: "https://iterate.app/login?to=%2F" }) })]
    const person = await ask({ policies }, undefined, navigation)
    expect([person.status, person.headers.get("location")]).toEqual([302, "https://iterate.app/login?to=%2F"])
    expect(person.headers.get("cache-control")).toBe("no-store")
    const script = await ask({ policies }, undefined, { "sec-fetch-mode": "cors", accept: "text/html" })
    expect([script.status, script.headers.has("location")]).toEqual([401, false])
  })

  it.each([program, navigation, { accept: "*/*" }, { ...program, upgrade: "websocket", connection: "upgrade" }])(
    "hides a denial from %j: it looks exactly like a route that is not there",
    async (headers) => {
      const policies = [() => ({ deny: new AccessDenied({ hidden: true }) })]
      for (const url of ["http://misha.iterate.app/", "http://4096__misha.iterate.app/"]) {
        const hidden = await ask({ policies }, url, headers)
        const missing = await ask({ store: memoryStore() }, url, headers)
        expect(await seenOf(hidden)).toEqual(await seenOf(missing))
      }
    },
  )

  it("never tells a client why", async () => {
    const secret = "token=hunter2 at 10.0.0.7"
    const causes: Partial<RouterOptions>[] = [
      failing(new Error(secret)),
      failing(new Providers.ProviderUnavailable({ ...where, reason: secret, cause: new Error(secret) })),
      { store: { get: () => Promise.reject(new Error(secret)) } },
      {
        policies: [
          () => {
            throw new Error(secret)
          },
        ],
      },
      { transport: () => Promise.reject(new Error(secret)) },
      { transport: async () => new Response(secret, { status: 500 }) },
      { providers: [fake({ endpoint: { headers: { authorization: `${secret}\r\n` } } })] },
    ]
    for (const options of causes) {
      const response = await ask(options, undefined, navigation)
      expect(response.status).toBeGreaterThanOrEqual(500)
      expect(JSON.stringify([...response.headers]) + (await response.text())).not.toMatch(/hunter2|10\.0\.0\.7/)
    }
  })
})

describe("a failure says which", () => {
  const message = async (options: Partial<RouterOptions>, url?: string) =>
    ((await (await ask(options, url, program)).json()) as { message: string }).message

  it("port: of the hostname, of a service of the grammar, or the one that the machine was asked for", async () => {
    const closed = (port: number) => failing(new Providers.PortClosed({ ...where, port }))
    expect(await message(closed(5173), "http://5173__misha.iterate.app/")).toMatch(/^Port 5173 is not listening yet\./)
    expect(await message(closed(3000))).toMatch(/^Port 3000 is not listening yet\./)
    const slow = failing(new Providers.UpstreamTimeout(where))
    expect(await message(slow, "http://opencode--misha.iterate.app/")).toMatch(/^The app on port 4096 did not respond/)
    expect(await message(slow)).toMatch(/^The app on this port did not respond/)
  })

  it("project, or hostname where that names no project", async () => {
    const starting = failing(new Providers.MachineStarting(where))
    expect(await message(starting)).toBe("The machine of project misha is starting. Wait until it responds.")
    const detached = {
      store: memoryStore({ "p:misha": { kind: "detached" }, "d:www.example.com": { kind: "detached" } }),
    }
    expect(await message(detached, "http://4096__MISHA.iterate.app:8080/")).toMatch(
      /^No machine is attached to project misha\./,
    )
    expect(await message(detached, "http://www.example.com/")).toMatch(/^No machine is attached to www\.example\.com\./)
  })

  it("hostname, as it was typed, and what is wrong with it", async () => {
    expect(await message({}, "http://nobody.iterate.app:8080/")).toMatch(
      /^There is no project at nobody\.iterate\.app\./,
    )
    expect(await message({}, "http://99999__misha.iterate.app/")).toBe(
      '99999__misha.iterate.app is not a valid hostname. "99999" is not a port from 1 to 65535. Check the address for typing errors.',
    )
  })

  it("page of the platform's own, for every code", async () => {
    const errorDocs = "https://docs.example.com/{code}"
    const row = { status: 429, code: "QUOTA_EXCEEDED", error: "http_request_denied", title: "Over quota." }
    const deny = new PolicyError({ tag: "QuotaExceeded", row, reason: "12 of 10" })
    for (const [options, code] of [
      [{ store: memoryStore() }, "ROUTE_NOT_FOUND"],
      [{ policies: [() => ({ deny })] }, "QUOTA_EXCEEDED"],
    ] as const) {
      const response = await ask({ ...options, errorDocs }, undefined, program)
      expect(await response.json()).toMatchObject({ error: code, docs: `https://docs.example.com/${code}` })
    }
    expect(() => setup({ errorDocs: "https://docs.example.com/" })).toThrow(
      'createRouter: errorDocs must be an http or https URL with "{code}" in it, got a string',
    )
  })
})

describe("a response without a body", () => {
  it("is the one to HEAD, with the same fields", async () => {
    for (const headers of [program, navigation, {}]) {
      const head = await ask({}, "http://nobody.iterate.app/", headers, "HEAD")
      expect([head.status, head.body, head.headers.get("x-iterate-proxy-error")]).toEqual([
        404,
        null,
        "ROUTE_NOT_FOUND",
      ])
    }
  })
})

describe("a navigation by a form", () => {
  it("gets a page that does not send it again", async () => {
    const closed = failing(new Providers.PortClosed({ ...where, port: 3000 }))
    const reloads = async (method: string) =>
      (await (await ask(closed, undefined, navigation, method)).text()).includes("reload")
    expect([await reloads("GET"), await reloads("POST")]).toEqual([true, false])
  })
})

describe("an endpoint that misbehaves", () => {
  it.each([
    [
      "throws",
      () => {
        throw new Error("sync")
      },
    ],
    ["gives nothing", () => Promise.resolve(undefined)],
    ["gives an origin with a path", async () => ({ origin: "http://m.test/path", epoch: "", ttlMs: 0 })],
    ["gives another scheme", async () => ({ origin: "file:///etc/passwd", epoch: "", ttlMs: 0 })],
  ])("%s: 5xx, and a request a second later is fine", async (_, resolve) => {
    vi.useFakeTimers({ toFake: ["performance"] })
    onTestFinished(() => void vi.useRealTimers())
    let broken = true
    const good = fake()
    const { router } = setup({
      providers: [
        fake({
          resolve: ((...args: Parameters<typeof good.resolve>) =>
            broken ? resolve() : good.resolve(...args)) as typeof good.resolve,
        }),
      ],
    })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBeGreaterThanOrEqual(500)
    broken = false
    vi.advanceTimersByTime(1_000)
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(200)
  })
})

const via = (times: number, name: string) => Array.from({ length: times }, () => `1.1 ${name}`).join(", ")
const status = async (value: string) => (await ask({}, undefined, { via: value })).status

describe("a loop", () => {
  it("is what our own name in Via says, more than ten times; other names do not count", async () => {
    expect(await status(via(10, "ingress-router"))).toBe(200)
    expect(await status(via(11, "ingress-router (comment)"))).toBe(508)
    expect(await status(via(50, "ingress-router-of-somebody-else"))).toBe(200)
  })
})
