import { describe, expect, it } from "vitest"
import * as fc from "fast-check"
import { createRouter } from "../src/router.ts"
import type { RouterEvent } from "../src/router.ts"
import { fake, hostnames, keys, machine, setup, stamped, tunnelled, values } from "./fakes.ts"

const page = { accept: "text/html,*/*", "sec-fetch-mode": "navigate" }

describe("from hostname to machine", () => {
  it("leaves foreign hostnames to the caller", async () => {
    const { router, sent } = setup()
    for (const host of [
      "example.com",
      "iterate.app",
      "www.iterate.app",
      "[::1]",
      "127.0.0.1:8787",
      "evil-iterate.app",
    ]) {
      expect(await router.fetch(new Request(`http://${host}/`))).toBeUndefined()
    }
    expect(sent).toEqual([])
  })

  it.each([
    ["misha.iterate.app", "3000__misha.iterate.app"],
    ["4096__misha.iterate.app", "4096__misha.iterate.app"],
    ["4096--misha.iterate.app:8787", "4096__misha.iterate.app"],
    ["4096.misha.iterate.app", "4096__misha.iterate.app"],
    ["opencode--misha.iterate.app", "4096__misha.iterate.app"],
    ["MISHA.Iterate.App.", "3000__misha.iterate.app"],
  ])("tells the machine what %s means", async (host, expected) => {
    const { router, sent } = setup()
    const response = await router.fetch(new Request(`http://${host}/`))
    expect(response?.status).toBe(200)
    expect(values(sent[0]!.headers, "x-iterate-proxy-target-host")).toEqual([expected])
  })

  it("takes the port from the hostname, the record's service, the grammar's service, the record, the grammar", async () => {
    const { router, routes, sent } = setup()
    routes.attach("p:misha", { machine: machine("mach_1"), port: 5173, services: { web: 8000, opencode: 9000 } })
    for (const host of ["1234__misha", "web--misha", "opencode--misha", "misha"]) {
      await router.fetch(new Request(`http://${host}.iterate.app/`))
    }
    const ports = sent.map(({ headers }) => values(headers, "x-iterate-proxy-target-host")[0]!.split("__")[0])
    expect(ports).toEqual(["1234", "8000", "9000", "5173"])
  })

  it("knows no service by a name that every object has", async () => {
    const { router, routes } = setup()
    routes.attach("p:misha", { machine: machine("mach_1"), services: {} })
    const response = await router.fetch(new Request("http://constructor--misha.iterate.app/"))
    expect(response?.status).toBe(404)
  })

  it("sends method, target and body as they came", async () => {
    const { router, sent } = setup()
    const url = "http://misha.iterate.app/a//b/%2e%2E/%41?q=%20&x=//#fragment"
    await router.fetch(new Request(url, { method: "POST", body: "hello" }))
    expect(sent[0]).toMatchObject({
      method: "POST",
      target: new URL(url).href.slice("http://misha.iterate.app".length).replace(/#.*/, ""),
    })
    expect(await new Response(sent[0]!.body).text()).toBe("hello")
  })

  it.each([["4096__mach_7"], ["4096--mach-7"]])("reaches a machine by its id in %s.machines", async (label) => {
    const { router, routes, sent } = setup()
    routes.attach("m:mach_7", { machine: machine("mach_7") })
    await router.fetch(new Request(`http://${label}.machines.iterate.app/`))
    expect(sent[0]!.origin).toBe("http://ext-mach-7.test")
    expect(values(sent[0]!.headers, "x-iterate-proxy-target-host")).toEqual(["4096__mach_7.machines.iterate.app"])
  })

  it("follows an attachment at once and forgets a detached route", async () => {
    const { router, routes, sent } = setup()
    routes.attach("p:misha", { machine: machine("mach_2") })
    await router.fetch(new Request("http://misha.iterate.app/"))
    expect(sent[0]!.origin).toBe("http://ext-mach-2.test")
    routes.detach("p:misha")
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(404)
    expect(sent.length).toBe(1)
  })
})

describe("the machine's answer", () => {
  it("passes untouched, its 5xx, its cookies and its redirect included", async () => {
    const { router } = setup({
      answer: () =>
        stamped("broken", {
          status: 503,
          statusText: "Mine",
          headers: [
            ["set-cookie", "a=1"],
            ["set-cookie", "b=2, still b"],
            ["location", "/elsewhere"],
          ],
        }),
    })
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    expect(response?.status).toBe(503)
    expect(response?.statusText).toBe("Mine")
    expect(response?.headers.getSetCookie()).toEqual(["a=1", "b=2, still b"])
    expect(response?.headers.get("location")).toBe("/elsewhere")
    expect(await response?.text()).toBe("broken")
  })

  it.each([204, 205, 304])("passes a bodiless %i", async (status) => {
    const { router } = setup({ answer: () => stamped(null, { status }) })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(status)
  })

  it("streams: the first octets arrive before the last are written", async () => {
    const pipe = new TransformStream<Uint8Array, Uint8Array>()
    const app = pipe.writable.getWriter()
    void app.write(new TextEncoder().encode("first"))
    const { router } = setup({ answer: () => stamped(pipe.readable) })
    const response = await router.fetch(new Request("http://misha.iterate.app/"))
    const reader = response!.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("first")
    void app.close()
    expect((await reader.read()).done).toBe(true)
  })
})

describe("one request", () => {
  it("cannot make fetch throw, whatever it is", async () => {
    const { router } = setup({ store: { get: () => ({ status: "miss" }) } })
    const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
    const requests = fc.record({
      authority: fc.oneof(
        fc.webAuthority(),
        fc.constantFrom("misha.iterate.app", "a..b.iterate.app", "0__x.iterate.app"),
      ),
      path: fc.webPath(),
      host: fc.option(fc.string({ unit: "grapheme-ascii", maxLength: 40 }), { nil: undefined }),
      headers: fc.array(fc.tuple(token, fc.stringMatching(/^[ -~]{0,20}$/)), { maxLength: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(requests, async ({ authority, path, host, headers }) => {
        let request: Request
        try {
          request = new Request(`http://${authority}${path}`, { headers })
          if (host !== undefined) request.headers.set("host", host)
        } catch {
          return
        }
        const response = await router.fetch(request)
        expect([undefined, 400, 404, 501, 508]).toContain(response?.status)
      }),
      { numRuns: 500 },
    )
  })

  it.each(["misha.iterate.app/path?", "evil.iterate.app", "misha.iterate.app@evil", "misha.iterate.app:080", "a b"])(
    "is refused when its Host %j is not what its URL says",
    async (host) => {
      const { router, sent } = setup()
      const request = new Request("http://misha.iterate.app/", { headers: { host, accept: "application/json" } })
      const response = await router.fetch(request)
      expect(response?.status).toBe(400)
      expect(await response?.json()).toMatchObject({ error: "HOSTNAME_MALFORMED" })
      expect(sent).toEqual([])
    },
  )

  it("may spell its Host in upper case and with the default port", async () => {
    const { router, sent } = setup()
    const request = new Request("http://misha.iterate.app/", { headers: { host: "Misha.iterate.app:80" } })
    expect((await router.fetch(request))?.status).toBe(200)
    expect(tunnelled(sent[0]!.headers, "x-iterate-proxy-public-origin")).toEqual(["http://misha.iterate.app"])
  })

  it("ends with its client: what it waits for is interrupted", async () => {
    let interrupted = false
    const { router } = setup({
      providers: [
        fake({
          resolve: (_, { signal }) =>
            new Promise((_, reject) => {
              signal.addEventListener("abort", () => {
                interrupted = true
                reject(signal.reason as Error)
              })
            }),
        }),
      ],
    })
    const client = new AbortController()
    const pending = router.fetch(new Request("http://misha.iterate.app/", { signal: client.signal }))
    client.abort()
    expect((await pending)?.status).toBe(499)
    expect(interrupted).toBe(true)
  })

  it("ends with its client after the head, too: a quiet stream is not kept open", async () => {
    const { router, sent } = setup()
    const client = new AbortController()
    await router.fetch(new Request("http://misha.iterate.app/", { signal: client.signal }))
    expect(sent[0]!.signal!.aborted).toBe(false)
    client.abort()
    expect(sent[0]!.signal!.aborted).toBe(true)
  })

  it("makes one event without headers or secrets, also when the log throws", async () => {
    const events: RouterEvent[] = []
    const { router } = setup({
      onEvent: (event) => {
        events.push(event)
        throw new Error("disk full")
      },
    })
    const headers = { authorization: "Bearer hunter2" }
    expect((await router.fetch(new Request("http://misha.iterate.app/secret?x", { headers })))?.status).toBe(200)
    expect((await router.fetch(new Request("http://nobody.iterate.app/")))?.status).toBe(404)
    expect(await router.fetch(new Request("http://example.com/"))).toBeUndefined()
    const timed = { requestId: expect.any(String), durationMs: expect.any(Number), trace: expect.any(Array) }
    const reason = "no route for p:nobody"
    expect(events).toEqual([
      { type: "request", method: "GET", host: "misha.iterate.app", status: 200, machine: "mach_1", ...timed },
      {
        type: "request",
        method: "GET",
        host: "nobody.iterate.app",
        status: 404,
        error: "RouteNotFound",
        code: "ROUTE_NOT_FOUND",
        reason,
        ...timed,
      },
    ])
  })

  it("is answered by onError when it fails, and by us when onError does", async () => {
    let broken = false
    const { router } = setup({
      onError: (error) => {
        if (broken) throw new Error("onError itself")
        return error._tag === "RouteNotFound" ? new Response("nothing here", { status: 410 }) : undefined
      },
    })
    const ask = () => router.fetch(new Request("http://nobody.iterate.app/"))
    const replaced = await ask()
    expect([replaced?.status, await replaced?.text()]).toEqual([410, "nothing here"])
    expect((await router.fetch(new Request("http://0__x.iterate.app/")))?.status).toBe(400)
    broken = true
    expect((await ask())?.status).toBe(404)
  })

  it("is a 500 when the machine's answer cannot be passed on, and onError is told why", async () => {
    const told: unknown[] = []
    const { router } = setup({
      // A body that somebody else reads already.
      answer: () => {
        const answer = stamped("taken")
        answer.body!.getReader()
        return answer
      },
      onError: (error) => {
        told.push(error)
        return undefined
      },
    })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(500)
    expect(told).toMatchObject([{ _tag: "ProxyFailed", cause: expect.any(TypeError) }])
  })

  it("gets a page when a person waits for it, JSON when a program does, and a line of text otherwise", async () => {
    const { router } = setup()
    const ask = (headers: Record<string, string>) =>
      router.fetch(new Request("http://nobody.iterate.app/", { headers }))
    expect((await ask(page))?.headers.get("content-type")).toContain("text/html")
    expect((await ask({ accept: "*/*" }))?.headers.get("content-type")).toBe("text/plain; charset=utf-8")
    const data = await ask({ accept: "application/json" })
    expect(data?.headers.get("content-type")).toBe("application/json")
    expect(data?.headers.get("cache-control")).toBe("no-store")
    expect(data?.headers.get("proxy-status")).toBe("ingress-router; error=destination_not_found")
  })
})

describe("createRouter", () => {
  it("refuses a key that cannot sign", () => {
    const options = { grammar: hostnames, store: { get: () => ({ status: "miss" }) as const }, providers: [] }
    // @ts-expect-error a public half does not sign
    expect(() => createRouter({ ...options, signingKey: keys.verification })).toThrow(/private half/)
    expect(() => createRouter({ ...options, signingKey: { kty: "oct", kid: "1", alg: "HS256", k: "short" } })).toThrow(
      /32 bytes/,
    )
  })
})
