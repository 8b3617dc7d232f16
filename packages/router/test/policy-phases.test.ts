/** The four phases of a policy, and what each may do. */
import { describe, expect, it } from "vitest"
import { AccessDenied, PolicyError } from "../src/router.ts"
import type { Policy, PolicyInput, PolicyRequest, Route } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { machine, setup, stamped, values } from "./fakes.ts"

const url = "http://4096__misha.iterate.app:8787/path?q"
const ask = async (
  policies: readonly PolicyInput[],
  init: RequestInit = {},
  more: Parameters<typeof setup>[0] = {},
) => {
  const { router, sent } = setup({ policies, ...more })
  const response = (await router.fetch(new Request(url, { redirect: "manual", ...init })))!
  return { response, sent }
}

describe("onRequest", () => {
  it("decides before the look-up, from the request alone", async () => {
    const keys: string[] = []
    const store = { get: (key: string) => (keys.push(key), { status: "miss" as const }) }
    const limit: Policy = { name: "limit", onRequest: () => ({ deny: new AccessDenied() }) }
    const { response } = await ask([limit], {}, { store })
    expect([response.status, keys]).toEqual([403, []])
  })

  it("sees scheme, public port, client address, signal and waitUntil", async () => {
    let seen: PolicyRequest | undefined
    const look: Policy = { name: "look", onRequest: (request) => void (seen = request) }
    await ask([look], { headers: { origin: "https://evil.example" } }, { clientAddress: () => "192.0.2.7" })
    expect(seen).toMatchObject({ scheme: "http", port: 8787, clientAddress: "192.0.2.7", path: "/path?q" })
    expect(seen!.header("origin")).toBe("https://evil.example")
    expect(seen!.signal.aborted).toBe(false)
    seen!.waitUntil(Promise.resolve())
  })

  it("is not run for a hostname that is the caller's own", async () => {
    let ran = 0
    const count: Policy = { name: "count", onRequest: () => void (ran += 1) }
    const { router } = setup({ policies: [count] })
    for (const host of ["iterate.app", "www.iterate.app", "shop.example.com"]) {
      expect(await router.fetch(new Request(`http://${host}/`))).toBeUndefined()
    }
    expect(ran).toBe(0)
  })

  it("is run for a custom domain as soon as the store knows it", async () => {
    let ran = 0
    const count: Policy = { name: "count", onRequest: () => void (ran += 1) }
    const store = memoryStore({ "d:www.example.com": { machine: machine("mach_1") } })
    const { router } = setup({ policies: [count], store })
    expect((await router.fetch(new Request("http://www.example.com/")))?.status).toBe(200)
    expect(ran).toBe(1)
  })
})

describe("an outcome", () => {
  it("redirects by status and location, and nobody may keep it", async () => {
    const { response, sent } = await ask([() => ({ redirect: { status: 308, location: "https://new.example/" } })])
    expect([response.status, response.headers.get("location"), sent]).toEqual([308, "https://new.example/", []])
    expect(response.headers.get("cache-control")).toBe("no-store")
  })

  it("responds by itself", async () => {
    const respond = { status: 418, headers: ["Content-Type", "text/plain"], body: "short and stout" }
    const { response, sent } = await ask([() => ({ respond })])
    expect([response.status, await response.text(), sent]).toEqual([418, "short and stout", []])
  })

  it("denies by a row of the policy's own", async () => {
    const row = { status: 429, code: "QUOTA_EXCEEDED", error: "http_request_denied", title: "Over quota." }
    const events: unknown[] = []
    const deny = () => new PolicyError({ tag: "QuotaExceeded", row, reason: "12 of 10", retryAfterMs: 2_500 })
    const { response } = await ask([() => ({ deny: deny() })], {}, { onEvent: (event) => events.push(event) })
    expect(response.status).toBe(429)
    expect(response.headers.get("retry-after")).toBe("3")
    expect(response.headers.get("proxy-status")).toBe("ingress-router; error=http_request_denied")
    // No page of this project's is about a policy's code.
    expect(await response.text()).toMatch(
      /^429 QUOTA_EXCEEDED: Over quota\. Try again in 3 s\. \(request [a-z0-9-]+\)\n$/,
    )
    expect(events).toMatchObject([{ type: "request", status: 429, error: "QuotaExceeded", reason: "12 of 10" }])
  })

  it.each([{ status: 200 }, { code: "a b" }, { error: "" }, { title: 7 }, { docs: 7 }, { retryAfter: 0.5 }])(
    "is no error whose row has %j",
    (wrong) => {
      const row = { status: 429, code: "QUOTA_EXCEEDED", error: "http_request_denied", title: "Over quota.", ...wrong }
      expect(() => new PolicyError({ tag: "QuotaExceeded", row: row as never, reason: "12 of 10" })).toThrow(TypeError)
    },
  )

  it("of the first policy counts, over all phases", async () => {
    const ran: string[] = []
    const policies: Policy[] = [
      { name: "a", onRequest: () => void ran.push("a.request"), onRoute: () => void ran.push("a.route") },
      { name: "b", onRequest: async () => void ran.push("b.request"), onRoute: () => ({ deny: new AccessDenied() }) },
      { name: "c", onRoute: () => void ran.push("c.route") },
    ]
    expect((await ask(policies)).response.status).toBe(403)
    expect(ran).toEqual(["a.request", "b.request", "a.route"])
  })

  it("may come from a promise of another realm", async () => {
    // oxlint-disable-next-line unicorn/no-thenable -- what a promise of another realm looks like
    const thenable = { then: (resolve: (value: unknown) => void) => resolve({ deny: new AccessDenied() }) }
    const policy = (() => thenable) as unknown as PolicyInput
    expect((await ask([policy])).response.status).toBe(403)
  })
})

describe("onForward", () => {
  it("takes a cookie out byte-exactly and adds an identity that a client cannot claim", async () => {
    const identify: Policy = {
      name: "identify",
      onForward: (edit, { port }) => {
        edit.removeCookie("session")
        edit.set("X-User", `misha@${port}`)
      },
    }
    const headers = { cookie: 'a="1; x";  session=secret; b=%20', "x-user": "root" }
    const { sent } = await ask([identify], { headers })
    expect(values(sent[0]!.headers, "cookie")).toEqual(['a="1; x"; b=%20'])
    expect(values(sent[0]!.headers, "x-user")).toEqual(["misha@4096"])
  })

  it.each([
    ["a field of the hop", "x-iterate-proxy-ticket", "forged"],
    ["framing", "content-length", "1"],
    ["a line break", "x-a", "1\r\nx-b: 2"],
    ["a name that is no token", "x a", "1"],
  ])("cannot set %s: 500", async (_, name, value) => {
    const policy: Policy = { name: "set", onForward: (edit) => edit.set(name, value) }
    const { response, sent } = await ask([policy])
    expect([response.status, sent]).toEqual([500, []])
  })
})

describe("removeLines", () => {
  it("takes out the lines that match, and leaves the others byte for byte", async () => {
    const answer = () =>
      stamped("ok", {
        headers: [
          ["set-cookie", "a=1;  Path=/"],
          ["set-cookie", "b=2"],
          ["set-cookie", "c=3"],
        ],
      })
    const policy: Policy = {
      name: "lines",
      onForward: (edit) => edit.removeLines("Authorization", (value) => value.startsWith("Own ")),
      onResponse: (_, edit) => edit.removeLines("Set-Cookie", (value) => value === "b=2"),
    }
    const { response, sent } = await ask([policy], { headers: { authorization: "Basic  x" } }, { answer })
    expect(response.headers.getSetCookie()).toEqual(["a=1;  Path=/", "c=3"])
    expect(values(sent[0]!.headers, "authorization")).toEqual(["Basic  x"])
    expect(
      values((await ask([policy], { headers: { authorization: "Own x" } })).sent[0]!.headers, "authorization"),
    ).toEqual([])
    const framing: Policy = { name: "framing", onForward: (edit) => edit.removeLines("host", () => true) }
    expect((await ask([framing])).response.status).toBe(500)
  })
})

describe("a challenge", () => {
  const row = { status: 401, code: "NO_KEY", error: "http_request_denied", title: "No key." }
  const denied = (challenge: string) => ({ deny: new PolicyError({ tag: "NoKey", row, reason: "no key", challenge }) })

  it("is what WWW-Authenticate says", async () => {
    const { response } = await ask([() => denied('Bearer realm="x", error="invalid_token"')])
    expect(response.headers.get("www-authenticate")).toBe('Bearer realm="x", error="invalid_token"')
    expect((await ask([() => ({ deny: new AccessDenied() })])).response.headers.has("www-authenticate")).toBe(false)
  })

  it.each(["", " Bearer", "Bearer\r\nx: y", "Béarer"])("is a header's value: %j", (challenge) => {
    expect(() => denied(challenge)).toThrow("challenge must be a scheme")
  })
})

describe("onResponse", () => {
  it("edits the fields that the visitor gets", async () => {
    let route: Route | undefined
    const rules: Policy = {
      name: "rules",
      onResponse: (head, edit, on) => {
        route = on
        if (head.status === 200) edit.set("X-Frame-Options", "DENY")
        edit.remove("server")
        edit.append("set-cookie", "b=2")
      },
    }
    const answer = () => stamped("ok", { headers: { server: "node", "set-cookie": "a=1" } })
    const { response } = await ask([rules], {}, { answer })
    expect(response.headers.get("x-frame-options")).toBe("DENY")
    expect(response.headers.has("server")).toBe(false)
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"])
    expect(route).toMatchObject({ key: "p:misha", port: 4096 })
  })

  it("that throws is a 500", async () => {
    const broken: Policy = {
      name: "broken",
      onResponse: () => {
        throw new Error("no")
      },
    }
    expect((await ask([broken])).response.status).toBe(500)
  })
})

describe("a port that its record calls private", () => {
  const store = () =>
    memoryStore({ "p:misha": { machine: machine("mach_1"), ports: { 4096: { visibility: "private" } } } })

  const look: Policy = { name: "look", onRoute: () => undefined }
  const decides: Policy = { name: "visibility", enforces: ["visibility"], onRoute: () => undefined }

  it.each([
    ["there is no policy", []],
    ["policies look at requests alone", [{ name: "x", onRequest: () => undefined }]],
    ["policies look at routes and do not decide about visibility", [look, () => undefined]],
  ] as const)("is closed where %s", async (_, policies) => {
    const { response, sent } = await ask(policies, {}, { store: store() })
    expect([response.status, sent]).toEqual([403, []])
  })

  it("is for the policy to decide that says it decides about visibility", async () => {
    expect((await ask([look, decides], {}, { store: store() })).response.status).toBe(200)
    const denies: Policy = { ...decides, onRoute: () => ({ deny: new AccessDenied({ hidden: true }) }) }
    expect((await ask([denies], {}, { store: store() })).response.status).toBe(404)
  })
})

describe("a visitor", () => {
  const ann = { subject: "user_ann", by: "session", id: "s1" }
  const proves = (visitor: object | undefined): Policy => ({
    name: "proves",
    onRequest: () => (visitor === undefined ? undefined : { visitor: visitor as typeof ann }),
  })

  it("is what the latest policy has proven, for the policies after it", async () => {
    const seen: unknown[] = []
    const look: Policy = {
      name: "look",
      onRequest: ({ visitor }) => void seen.push(visitor),
      onRoute: ({ visitor }) => void seen.push(visitor),
    }
    const inspects: Policy = {
      name: "inspects",
      onRoute: async ({ visitor }) => visitor && { visitor: { ...visitor, mayInspect: true } },
    }
    expect((await ask([look, proves(ann), look, inspects, look])).response.status).toBe(200)
    expect(seen).toEqual([undefined, ann, ann, ann, ann, { ...ann, mayInspect: true }])
  })

  it("is proven again for another route, when the machine has moved", async () => {
    const seen: unknown[] = []
    let asked = 0
    const look: Policy = { name: "look", onRoute: ({ visitor }) => void seen.push(visitor) }
    const once: Policy = { name: "once", onRoute: () => (asked++ === 0 ? { visitor: ann } : undefined) }
    const answer = () =>
      asked === 1
        ? stamped(null, { status: 421, headers: { "x-iterate-proxy-error": "MACHINE_MISMATCH" } })
        : stamped("ok")
    await ask([once, look], {}, { answer })
    expect(seen).toEqual([ann, undefined])
  })

  it.each([
    ["without a subject", { by: "session", id: "s1" }],
    ["with an id that is no word", { ...ann, id: "a b" }],
    ["with a flag that is no boolean", { ...ann, granted: "yes" }],
    ["that is a text", "user_ann"],
  ])("%s refuses the request", async (_, visitor) => {
    expect((await ask([proves(visitor as never)])).response.status).toBe(500)
  })

  it("lets nobody in whom the same outcome ends", async () => {
    const both = { visitor: ann, deny: undefined, redirect: { status: 302, location: "/" } } as never
    expect((await ask([{ name: "both", onRequest: () => both }])).response.status).toBe(302)
  })
})

describe("cookies that a policy reserves", () => {
  const policy: Policy = {
    name: "sessions",
    reservedCookies: ["__Host-ours-*"],
    onRequest: ({ header }) =>
      header("cookie")?.includes("__Host-ours-session=1") ? undefined : { deny: new AccessDenied() },
  }
  const cookie = "a=1; __Host-ours-session=1; b=2"

  it.each([undefined, false] as const)(
    "are read by it and get to no app, with isolateCookies %s",
    async (isolateCookies) => {
      const more = isolateCookies === undefined ? {} : { isolateCookies }
      const answer = () =>
        stamped("ok", {
          headers: [
            ["set-cookie", "__Host-ours-session=2; Secure; Path=/"],
            ["set-cookie", "c=3"],
          ],
        })
      const { response, sent } = await ask([policy], { headers: { cookie } }, { ...more, answer })
      expect(values(sent[0]!.headers, "cookie")).toEqual(["a=1; b=2"])
      expect(response.headers.getSetCookie()).toEqual(["c=3"])
    },
  )
})

describe("a policy that ends a request", () => {
  it.each([
    ["denied", () => ({ deny: new AccessDenied() })],
    ["redirected", async () => ({ redirect: { status: 302, location: "/login" } })],
    ["responded", () => ({ respond: { status: 204, headers: [] } })],
    [
      "failed",
      () => {
        throw new TypeError("secret")
      },
    ],
  ] as const)("is named by the request's event: %s", async (decision, onRoute) => {
    const events: unknown[] = []
    const policies = [{ name: "guard", onRoute: onRoute as Policy["onRoute"] }] as Policy[]
    await ask(policies, {}, { onEvent: (event) => events.push(event) })
    expect(events).toMatchObject([{ trace: expect.arrayContaining([{ step: "policy", outcome: "guard", decision }]) }])
    expect(JSON.stringify(events)).not.toContain("secret")
  })

  it("by a mistake is reported by the event, in the router's own words", async () => {
    const events: { readonly reason?: string }[] = []
    const onEvent = (event: object) => void events.push(event)
    await ask([() => true], {}, { onEvent })
    await ask([{ name: "edit", onForward: (edit) => edit.set("host", "x") }], {}, { onEvent })
    // oxlint-disable-next-line typescript/no-misused-promises -- the mistake that is claimed to be found
    await ask([{ name: "late", onForward: async () => {} }], {}, { onEvent })
    expect(events.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(
        /^policy .* must return undefined, { visitor }, { deny }, { redirect }, { respond } or { inspect }$/,
      ),
      "a policy set host, which belongs to the connection or to the hop",
      "policy late must edit header fields synchronously",
    ])
  })

  it("cannot respond with what is no response: 500, on every host alike", async () => {
    for (const respond of [
      { status: 200, headers: ["x-a"] },
      { status: 200, headers: ["x-a", "1\r\nx-b: 2"] },
      { status: 99, headers: [] },
      { status: 200, headers: [], body: 5 },
    ]) {
      expect((await ask([() => ({ respond })])).response.status).toBe(500)
    }
  })

  it("sees every line of a field, as the app will", async () => {
    let seen: string | undefined
    const headers = new Headers([
      ["cookie", "a=1"],
      ["x-key", "1"],
    ])
    headers.append("x-key", "2")
    await ask([({ header }) => void (seen = header("x-key"))], { headers })
    expect(seen).toBe("1, 2")
  })

  it("knows the client by one notation, and nothing else for one", async () => {
    const seen: (string | undefined)[] = []
    for (const address of ["::ffff:192.0.2.7", "fe80::1%eth0", null, "unknown", "2001:db8::1"]) {
      await ask([({ clientAddress }) => void seen.push(clientAddress)], {}, { clientAddress: () => address })
    }
    expect(seen).toEqual(["192.0.2.7", "fe80::1", undefined, undefined, "2001:db8::1"])
  })
})
