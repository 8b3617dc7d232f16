import { describe, expect, it } from "vitest"
import { cloudflareDns } from "@project-ingress/ingress/dns"
import type { CloudflareDnsOptions, DnsRecord } from "@project-ingress/ingress/dns"
import { fakeCloudflare } from "./fake-cloudflare.ts"

const setUp = (options: Partial<CloudflareDnsOptions> = {}) => {
  const api = fakeCloudflare()
  const { token, zoneId, fetch } = api
  return { api, dns: cloudflareDns({ token, zoneId, fetch, ...options }) }
}

const name = "llm.example.com"
const a = (content = "100.64.0.1", more: Partial<DnsRecord> = {}): DnsRecord => ({ name, type: "A", content, ...more })
const writes = (api: ReturnType<typeof fakeCloudflare>) => api.requests.filter(({ method }) => method === "POST")
const shape = (api: ReturnType<typeof fakeCloudflare>) =>
  api.all().map(({ type, content, comment }) => `${type} ${content} ${comment}`)

describe("records at Cloudflare", () => {
  it("are made with a comment, never proxied, with the automatic TTL unless they have one", async () => {
    const { api, dns } = setUp()
    await dns.put(name, [a(), a("100.64.0.2", { ttl: 120 })])
    expect(api.all()).toMatchObject([
      { name, type: "A", content: "100.64.0.1", ttl: 1, proxied: false, comment: "project-ingress" },
      { name, type: "A", content: "100.64.0.2", ttl: 120, proxied: false, comment: "project-ingress" },
    ])
    await expect(dns.list(name)).resolves.toEqual([a(), a("100.64.0.2", { ttl: 120 })])
  })
  it("are left alone by the same call again", async () => {
    const { api, dns } = setUp()
    const text = { name, type: "TXT", content: `a "b" \\ ${"c".repeat(300)}` } as const
    await dns.put(name, [a(), text])
    await dns.put(name, [text, a(), a()])
    expect(writes(api)).toHaveLength(1)
    await expect(dns.list()).resolves.toEqual([a(), text])
  })
  it("are replaced in one transaction: one is changed, none is added to it", async () => {
    const { api, dns } = setUp()
    await dns.put(name, [a("100.64.0.1"), a("100.64.0.2")])
    const ids = api.all().map(({ id }) => id)
    await dns.put(name, [a("100.64.0.2"), a("100.64.0.3")])
    expect(shape(api)).toEqual(["A 100.64.0.3 project-ingress", "A 100.64.0.2 project-ingress"])
    expect(api.all().map(({ id }) => id)).toEqual(ids)
    await dns.put(name, [{ name, type: "CNAME", content: "example.net" }])
    expect(shape(api)).toEqual(["CNAME example.net project-ingress"])
    expect(writes(api)).toHaveLength(3)
  })
  it("change their TTL alone", async () => {
    const { api, dns } = setUp()
    await dns.put(name, [a()])
    await dns.put(name, [a("100.64.0.1", { ttl: 60 })])
    expect(api.all()).toMatchObject([{ ttl: 60 }])
  })
  it("are removed by an empty array, also twice", async () => {
    const { api, dns } = setUp()
    await dns.put(name, [a()])
    await dns.put(name, [])
    await dns.put(name, [])
    expect(api.all()).toEqual([])
    expect(writes(api)).toHaveLength(2)
  })
  it("are listed over pages", async () => {
    const { api, dns } = setUp()
    for (let i = 0; i < 205; i++)
      api.add({ name: `n${i}.example.com`, type: "A", content: "100.64.0.1", comment: "project-ingress" })
    await expect(dns.list()).resolves.toHaveLength(205)
    expect(api.requests).toHaveLength(3)
  })
})

describe("a record that is not ours", () => {
  it.each<[string, Partial<{ comment: string; type: string; content: string }>, DnsRecord]>([
    ["an address without a comment", {}, a()],
    ["an identical one", { content: "100.64.0.1" }, a()],
    ["of another platform", { comment: "other" }, a()],
    ["an alias", { type: "CNAME", content: "example.net" }, a()],
    ["an IPv6 address beside which an IPv4 address would be", { type: "AAAA", content: "::1" }, a()],
    [
      "text beside which an alias would be",
      { type: "TXT", content: "x" },
      { name, type: "CNAME", content: "example.net" },
    ],
  ])("is in use, and is never touched: %s", async (_what, foreign, record) => {
    const { api, dns } = setUp()
    api.add({ name, type: "A", content: "100.64.0.9", ...foreign })
    const before = api.all()
    await expect(dns.put(name, [record])).rejects.toMatchObject({ _tag: "RecordInUse", record: name })
    await dns.put(name, [])
    expect(api.all()).toEqual(before)
    await expect(dns.list(name)).resolves.toEqual([])
  })
  it("stays beside ours where both can be", async () => {
    const { api, dns } = setUp()
    api.add({ name, type: "MX", content: "mx.example.com" })
    await dns.put(name, [a()])
    await dns.put(name, [])
    expect(shape(api)).toEqual(["MX mx.example.com null"])
  })
  it("becomes ours with adopt, if it is an address or an alias, and is not removed before", async () => {
    const { api, dns } = setUp({ adopt: true })
    api.add({ name, type: "A", content: "100.64.0.9" })
    api.add({ name, type: "AAAA", content: "::1" })
    api.add({ name, type: "TXT", content: "x" })
    await dns.put(name, [])
    expect(api.all()).toHaveLength(3)
    await dns.put(name, [a("100.64.0.9")])
    expect(shape(api)).toEqual(["A 100.64.0.9 project-ingress", "TXT x null"])
    await expect(dns.put(name, [{ name, type: "CNAME", content: "example.net" }])).rejects.toMatchObject({
      _tag: "RecordInUse",
    })
  })
})

describe("somebody else between reading and writing", () => {
  it("who made the name in the meantime is noticed", async () => {
    const { api, dns } = setUp()
    api.instead.push(() => {
      const response = Response.json({ success: true, errors: [], result: [], result_info: { total_pages: 1 } })
      api.add({ name, type: "CNAME", content: "example.net" })
      return response
    })
    await expect(dns.put(name, [a()])).rejects.toMatchObject({ _tag: "RecordInUse" })
  })
  it("who removed our record is noticed, and it is made again", async () => {
    const { api, dns } = setUp()
    await dns.put(name, [a()])
    const [record] = api.all()
    api.instead.push(() => {
      api.clear()
      return Response.json({ success: true, errors: [], result: [record], result_info: { total_pages: 1 } })
    })
    await dns.put(name, [a("100.64.0.2")])
    expect(shape(api)).toEqual(["A 100.64.0.2 project-ingress"])
  })
  it("who had the same thought is the same: the record that is there now counts", async () => {
    const { api, dns } = setUp()
    api.instead.push(() => {
      api.add({ name, type: "A", content: "100.64.0.1", comment: "project-ingress" })
      return Response.json({ success: true, errors: [], result: [], result_info: { total_pages: 1 } })
    })
    await dns.put(name, [a()])
    expect(api.all()).toHaveLength(1)
  })
})

describe("a failure", () => {
  const refused =
    (status: number, code: number, headers = {}) =>
    () =>
      Response.json({ success: false, errors: [{ code, message: "no" }], result: null }, { status, headers })
  it.each<[string, () => Response | Promise<Response>, object]>([
    ["429 with seconds", refused(429, 971, { "retry-after": "7" }), { reason: /HTTP 429/, retryAfterMs: 7_000 }],
    ["429 without", refused(429, 971), { reason: /HTTP 429/, retryAfterMs: undefined }],
    ["401", refused(401, 10_000), { reason: /token was refused \(HTTP 401\)/ }],
    ["403", refused(403, 9_109), { reason: /token was refused/ }],
    ["500", refused(500, 0), { reason: /HTTP 500/ }],
    ["400 with an unknown code", refused(400, 7_003), { reason: /HTTP 400, code 7003/ }],
    ["a page", () => new Response("<html>", { status: 200 }), { reason: /HTTP 200 without a result/ }],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { location: "https://evil.example" } }),
      { reason: /HTTP 302/ },
    ],
    [
      "a list of something else",
      () => Response.json({ success: true, result: [{ id: 1 }] }),
      { reason: /cannot be read/ },
    ],
    ["no connection", () => Promise.reject(new TypeError("with cf-token-that-is-secret")), { reason: /no connection/ }],
  ])("%s is DnsFailed, without the token", async (_what, response, { reason, ...more }: { reason?: RegExp }) => {
    const { api, dns } = setUp()
    api.instead.push(response)
    const error: Error = (await dns.put(name, [a()]).catch((error: Error) => error)) as Error
    expect(error).toMatchObject({ _tag: "DnsFailed", ...more })
    expect(error.message).toMatch(reason!)
    expect(`${error.message} ${String(error.cause)} ${JSON.stringify(error)}`).not.toContain(api.token)
    expect(writes(api)).toHaveLength(0)
  })
  it.each([9_005, 1_004])("of validation (%i) names the record, and no token", async (code) => {
    const { dns, api } = setUp()
    const errors = [{ code, message: `not for ${api.token}` }]
    api.instead.push(
      () => Response.json({ success: true, errors: [], result: [], result_info: { total_pages: 1 } }),
      () => Response.json({ success: false, errors, result: null }, { status: 400 }),
    )
    const error = await dns.put(name, [a()]).catch((error: Error) => error)
    expect(error).toMatchObject({
      _tag: "RecordInvalid",
      record: name,
      field: "content",
      cause: { message: `${code}: not for …` },
    })
    await expect(dns.put(name, [a("100.64.0.01")])).rejects.toMatchObject({ field: "content" })
  })
  it("cannot send the token elsewhere: no redirect is followed", async () => {
    const { dns, api } = setUp()
    await dns.put(name, [a()])
    expect(api.requests.map(({ redirect }) => redirect)).toEqual(["manual", "manual"])
  })
  it("of time is DnsFailed, and a signal of the caller's has its own reason", async () => {
    const hang = (_url: string, { signal }: RequestInit) =>
      new Promise<never>((_, reject) => {
        signal!.addEventListener("abort", () => reject(signal!.reason as Error))
      })
    const { dns } = setUp({ fetch: hang, timeoutMs: 100 })
    await expect(dns.put(name, [a()])).rejects.toMatchObject({ reason: "no response within 100 ms" })
    const controller = new AbortController()
    const put = dns.put(name, [a()], { signal: controller.signal })
    controller.abort(new Error("enough"))
    await expect(put).rejects.toThrow("enough")
  })
})

it.each([
  [{ token: "a b" }, /token must be visible ASCII/],
  [{ token: undefined }, /token must be/],
  [{ zoneId: "example.com" }, /zoneId must be 32 hex digits/],
  [{ comment: "" }, /comment must be/],
  [{ proxied: true }, /proxied is not an option/],
])("options %j are refused", (options, message) => {
  expect(() => setUp(options as Partial<CloudflareDnsOptions>)).toThrow(message)
})
