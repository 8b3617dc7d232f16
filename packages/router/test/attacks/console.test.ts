/** What hostile names, machines, stores, visitors and errors can do to the console, and to whoever looks at it. */
import { describe, expect, it } from "vitest"
import { createConsole, recentEvents } from "../../src/console.ts"
import type { ConsoleOptions } from "../../src/console.ts"
import { AccessDenied } from "../../src/router.ts"
import type { RouteKey } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { fake, machine, setup } from "../fakes.ts"

const ask = async (search: Record<string, string>, made = setup(), options: Partial<ConsoleOptions> = {}) => {
  const handler = createConsole(made.router, { authorize: () => true, ...options })
  const response = await handler(new Request(`https://ops.example.com/?${new URLSearchParams(search).toString()}`))
  return { response, text: await response.text() }
}

const payloads = [
  `"><script>alert(1)</script>`,
  `'><img src=x onerror=alert(1)>`,
  `</title></style><script>alert(1)</script>`,
  `" autofocus onfocus=alert(1) x="`,
  `javascript:alert(1)`,
  `<!--`,
  `--!><svg onload=alert(1)>`,
  `]]><script>`,
  `\u2028<script>`,
  `&lt;script&gt;`,
]

/** The tags and attributes of a page, as anything that a payload adds would change them. */
const skeleton = (text: string): string[] =>
  (text.replaceAll(/<(style|script)>.*?<\/\1>/gs, "<$1></$1>").match(/<[^>]*>/g) ?? []).map((tag) =>
    tag.replaceAll(/="[^"]*"/g, "="),
  )

describe("markup in what is shown", () => {
  it.each(payloads)("of a hostname or a path is text: %s", async (payload) => {
    const { text } = await ask({ hostname: payload, path: `/${payload}`, policies: "1" })
    const { text: plain } = await ask({ hostname: "a b", path: "/x", policies: "1" })
    expect(skeleton(text)).toEqual(skeleton(plain))
    expect(text).not.toMatch(/<script>alert|<img|<svg|onfocus=alert\(1\) x=""/)
  })

  it.each(payloads)("of stores, machines, policies, errors and reasons is text: %s", async (payload) => {
    const page = async (hostile: string) => {
      const recent = recentEvents()
      const trace = [{ step: "machine", outcome: hostile, type: hostile, externalId: hostile, version: 1 }] as const
      const request = { type: "request", requestId: hostile, method: "GET", host: hostile, status: 502 } as const
      recent.onEvent({ ...request, code: hostile, reason: hostile, durationMs: 1, trace })
      recent.onEvent({
        type: "provider",
        provider: hostile,
        machine: "m2",
        operation: "start",
        state: "failing",
        reason: hostile,
      })
      recent.onEvent({ type: "store", state: "failing", reason: hostile })
      const record = {
        machine: { id: hostile, type: hostile, externalId: hostile, metadata: {} },
        appOrigin: "public",
      } as const
      const routes = memoryStore({ "p:misha": record })
      const store = {
        get: (key: RouteKey) => ({ ...routes.get(key), layer: hostile }),
        stats: () => ({ layers: [{ layer: hostile, routes: 1, ageMs: 1 }] }),
      }
      const deny = {
        name: hostile,
        explainable: true,
        onRoute: () => ({ deny: new AccessDenied({ reason: hostile }) }),
      }
      const made = setup({ store, policies: [deny] })
      return (await ask({ hostname: "misha.iterate.app", policies: "1" }, made, { recent })).text
    }
    const [text, plain] = [await page(payload), await page("plain")]
    expect(skeleton(text)).toEqual(skeleton(plain))
    expect(text).not.toMatch(/<script>alert|<img|<svg/)
  })

  it("of any character that changes the direction or the line is shown as its number", async () => {
    const { text } = await ask({ hostname: "\u202emoc.live\u2066\u0000\u200b\ud800.iterate.app" })
    for (const hidden of ["\u202e", "\u2066", "\u0000", "\u200b"]) expect(text).not.toContain(hidden)
    expect(text).toContain("\\u{202e}moc.live\\u{2066}")
  })
})

describe("whoever is not let in", () => {
  const secret = "misha"
  it.each([
    [false, 403],
    [undefined, 403],
    ["yes", 403],
    [1, 403],
    [{}, 403],
    [Promise.resolve(false), 403],
  ])("for which authorize gives %s gets nothing", async (allowed, status) => {
    let asked = 0
    const store = {
      get: () => ({ status: "miss" as const, asked: ++asked }),
      stats: () => ({ layers: [{ layer: secret }] }),
    }
    for (const path of ["", "explain.json"]) {
      const handler = createConsole(setup({ store }).router, { authorize: () => allowed as never })
      const response = await handler(new Request(`https://ops.example.com/${path}?hostname=${secret}.iterate.app`))
      const text = await response.text()
      expect([response.status, text.includes(secret), asked]).toEqual([status, false, 0])
    }
  })

  it.each([
    () => {
      throw new Error("hunter2")
    },
    () => Promise.reject(new Error("hunter2")),
    () =>
      Promise.reject({
        toString: () => {
          throw new Error("x")
        },
      }),
  ])("because authorize fails gets a 500 that says nothing", async (authorize) => {
    const { response, text } = await ask({ hostname: "misha.iterate.app" }, setup(), { authorize })
    expect([response.status, text]).toEqual([500, "The console failed.\n"])
    expect(response.headers.get("cache-control")).toBe("no-store")
  })

  it("is asked before the method is looked at", async () => {
    const handler = createConsole(setup().router, { authorize: () => false })
    expect((await handler(new Request("https://ops.example.com/", { method: "POST" }))).status).toBe(403)
  })

  it("cannot frame, embed, cache or learn the URL of it", async () => {
    for (const format of ["html", "json"]) {
      const { headers } = (await ask({ hostname: "misha.iterate.app", format })).response
      expect(Object.fromEntries(headers)).toMatchObject({
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
      })
      expect(headers.get("content-security-policy")).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
      expect(headers.get("content-security-policy")).not.toMatch(/unsafe|\*|https?:/)
      expect(headers.get("access-control-allow-origin")).toBeNull()
    }
  })
})

describe("what is too long, or no text", () => {
  it("is cut: a hostname of 100 kB costs no more than a short one", async () => {
    for (const format of ["html", "json"]) {
      const { response, text } = await ask({
        hostname: `${"a".repeat(100_000)}.iterate.app`,
        path: `/${"b".repeat(100_000)}`,
        format,
      })
      expect(response.status).toBe(200)
      expect(text.length).toBeLessThan(30_000)
      expect(text).toContain("HOSTNAME_MALFORMED")
    }
  })

  it("is never in a field of the response: no line can be split", async () => {
    const { response } = await ask({
      hostname: "a\r\nset-cookie: x=1\r\n\r\n<script>",
      path: "/\r\nx: y",
      format: "x\r\ny: z",
    })
    const { response: plain } = await ask({ hostname: "a" })
    expect([...response.headers]).toEqual([...plain.headers])
  })

  it("of the search's other fields changes nothing", async () => {
    for (const search of [
      "hostname=%00",
      "hostname=%FF%FE",
      "hostname",
      "hostname=a&hostname=b",
      "__proto__=1",
      "path=//x",
      "hostname=https://",
      "hostname=https://[::1",
    ]) {
      const handler = createConsole(setup().router, { authorize: () => true })
      expect([search, (await handler(new Request(`https://ops.example.com/?${search}`))).status]).toEqual([search, 200])
    }
  })
})

describe("secrets", () => {
  const SECRET = "hunter2-secret"

  it("in metadata, endpoints, headers, keys, causes and statuses are never shown, in page and JSON", async () => {
    const recent = recentEvents()
    const provider = fake({
      resolve: async ({ id }) => {
        if (id === "mach_2") throw Object.assign(new Error(SECRET), { cause: SECRET })
        return {
          origin: "http://m.test",
          headers: { authorization: SECRET },
          epoch: SECRET,
          ttlMs: 60_000,
          pin: undefined,
        }
      },
      status: async () => ({ state: "running", token: SECRET }) as never,
    })
    const metadata = { token: SECRET }
    const record = { machine: machine("mach_1", metadata), metadata, externalId: "e", owner: "o" }
    const healthCheck = { path: `/up?key=${SECRET}` }
    const store = memoryStore({
      "p:misha": { ...record, healthCheck },
      "p:bad": { machine: machine("mach_2", metadata) },
    })
    const redirect = { status: 302, location: `https://id.example.com/?code=${SECRET}` } as const
    const policies = [
      {
        name: "sign in",
        explainable: true,
        onRoute: ({ path }: { path: string }) => (path === "/in" ? { redirect } : undefined),
      },
      {
        name: "throws",
        explainable: true,
        onRoute: ({ path }: { path: string }) => {
          if (path === "/throw") throw new Error(SECRET)
        },
      },
    ]
    const made = setup({ store, providers: [provider], policies, onEvent: recent.onEvent })
    for (const name of ["misha", "bad"]) {
      const headers = { cookie: SECRET, authorization: SECRET, "x-secret": SECRET }
      await made.router.fetch(new Request(`https://${name}.iterate.app/?token=${SECRET}`, { headers }))
    }
    await made.router.explain("misha.iterate.app", { status: true })
    for (const hostname of ["misha.iterate.app", "bad.iterate.app", ""]) {
      for (const path of ["/", "/in", "/throw"]) {
        for (const format of ["html", "json"]) {
          const { text, response } = await ask({ hostname, path, format, policies: "1" }, made, { recent })
          expect(response.status).toBe(200)
          expect(text).not.toContain(SECRET)
          // A ticket, a key.
          expect(text).not.toMatch(/eyJ|"d":/)
        }
      }
    }
    const { text } = await ask({ hostname: "misha.iterate.app" }, made, { recent })
    expect(text).toContain("http://m.test")
  })
})
