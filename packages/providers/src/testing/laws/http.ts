import { equal, eventually, failure, inTime, ok } from "../assert.ts"
import { requestTo } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

interface Echo {
  readonly machine: string
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: number
}
const echo = async (context: LawContext, path: string, init?: RequestInit): Promise<Echo> => {
  const response = await context.request(path, init)
  equal(response.status, 200, "the status")
  return (await response.json()) as Echo
}
const valueOf = (headers: readonly string[], lowerName: string): string | undefined => {
  const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === lowerName)
  return at < 0 ? undefined : headers[at + 1]
}
const json = async <A>(response: Response | Promise<Response>): Promise<A> => (await (await response).json()) as A
const first = async (response: Response, what: string) => {
  const reader = response.body!.getReader()
  const { value } = await inTime(reader.read(), what)
  const rest = async (): Promise<string> => {
    let text = ""
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decode(next.value)
    return text
  }
  return { text: decode(value!), rest }
}
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
/** The same bytes as the app makes. */
const testBytes = (count: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: count }, (_, i) => (i * 31 + (i >> 8)) & 255)
const sha256 = async (bytes: BufferSource): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("")
const MiB = 1_048_576

/** Requests arrive at the app, and responses at the client, as they were sent. */
export const http = {
  "http.methods": law("the request method arrives unchanged", [], async (context) => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      equal((await echo(context, "/echo", { method })).method, method, "the method")
    }
  }),

  "http.path-escapes": law("percent-encoding in a path arrives unchanged", [], async (context) => {
    const path = "/echo/a%2Fb%20c%2f/%C3%A9/~!$&'()*+,;=:@"
    equal((await echo(context, path)).url, path, "the path")
  }),

  "http.path-slashes": law("empty segments of a path arrive", [], async (context) => {
    equal((await echo(context, "//echo//b/")).url, "//echo//b/", "the path")
  }),

  "http.query": law("the query arrives unchanged", [], async (context) => {
    const path = "/echo?a=1&a=2&b=%20+&empty=&flag&c=%2F/?"
    equal((await echo(context, path)).url, path, "the path")
  }),

  "http.request-headers": law("request headers arrive", [], async (context) => {
    const sent = { "x-one": "1", "x-long": "l".repeat(4_096), accept: "text/x; q=0.5", "if-none-match": `W/"x"` }
    const { headers } = await echo(context, "/echo", { headers: sent })
    for (const [name, value] of Object.entries(sent)) equal(valueOf(headers, name), value, name)
  }),

  "http.intercepted-headers": law("request headers that the platform intercepts arrive", [], async (context) => {
    const sent: Record<string, string> = { authorization: "Bearer the-apps-own", cookie: "a=1; b=2" }
    for (const name of context.provider.capabilities.interceptedHeaders) sent[name] ??= `the-client's-${name}`
    // These decide where a request goes and how it is framed; a client cannot choose them.
    for (const name of ["host", "connection", "content-length", "transfer-encoding", "upgrade"]) delete sent[name]
    // A router adds these itself, and a fetcher drops a client's.
    for (const name of Object.keys(sent))
      if (/^(?:x-forwarded-|forwarded$|cf-|fastly-|via$)/.test(name)) delete sent[name]
    const { headers } = await echo(context, "/echo", { headers: sent })
    for (const [name, value] of Object.entries(sent)) equal(valueOf(headers, name), value, name)
  }),

  "http.hop-headers": law("a client's copies of the proxy's own headers do not arrive", [], async (context) => {
    const sent = {
      "x-iterate-proxy-ticket": "forged",
      "x-iterate-proxy-target-host": "localhost:22",
      "x-iterate-proxy-fwd-x-admin": "1",
    }
    const { headers } = await echo(context, "/echo", { headers: sent })
    for (const name of [...Object.keys(sent), "x-admin"]) equal(valueOf(headers, name), undefined, name)
  }),

  "http.cookies": law("two Set-Cookie fields stay two, in their order", [], async (context) => {
    equal(
      (await context.request("/cookies")).headers.getSetCookie(),
      ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"],
      "the cookies",
    )
  }),

  "http.response-headers": law("response headers come back", [], async (context) => {
    const { headers } = await context.request("/headers")
    equal([headers.get("x-one"), headers.get("x-two"), headers.get("etag")], ["1", "a, b", `"x"`], "the headers")
    equal(headers.get("x-long")?.length, 4_096, "the length of a long one")
  }),

  "http.statuses": law("any status of the app comes back with its body", [], async (context) => {
    for (const status of [200, 201, 400, 401, 403, 404, 410, 418, 421, 422, 429]) {
      const response = await context.request(`/status/${status}`)
      equal([response.status, await response.text()], [status, `status ${status}`], "the response")
    }
  }),

  "http.app-failures": law("a 5xx of the app is not taken for the platform's", [], async (context) => {
    for (const status of [500, 501, 502, 503, 504, 520, 530]) {
      const response = await context.request(`/status/${status}`)
      equal([response.status, await response.text()], [status, `status ${status}`], "the response")
    }
  }),

  "http.app-closed": law("a closed port inside the machine is a response of the machine proxy", [], async (context) => {
    const response = await context.fetcher({ port: 9 })(requestTo("/who"))
    equal([response.status, response.headers.get("x-iterate-proxy-error")], [502, "PORT_CLOSED"], "the response")
    await response.body?.cancel()
  }),

  "http.head": law("a HEAD request gets a head and no body", [], async (context) => {
    const response = await context.request("/bytes/1000", { method: "HEAD" })
    equal([response.status, response.headers.get("content-length")], [200, "1000"], "the head")
    equal(await response.text(), "", "the body")
  }),

  "http.no-body": law("204 and 304 have no body", [], async (context) => {
    for (const status of [204, 304]) {
      const response = await context.request(`/status/${status}`)
      equal(
        [response.status, response.headers.get("x-app"), await response.text()],
        [status, context.machine.id, ""],
        "the response",
      )
    }
  }),

  "http.redirects": law("redirects are passed on and never followed", [], async (context) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const response = await context.request(`/redirect/${status}`)
      equal([response.status, response.headers.get("location")], [status, "/who?from=redirect"], "the response")
      await response.body?.cancel()
    }
  }),

  "http.gzip": law("a compressed body comes back compressed", [], async (context) => {
    const response = await context.request("/gzip", { headers: { "accept-encoding": "gzip" } })
    equal(response.headers.get("content-encoding"), "gzip", "content-encoding")
    const body = new Uint8Array(await response.arrayBuffer())
    equal([body[0], body[1], body.length], [0x1f, 0x8b, 32], "the body's first bytes and its length")
  }),

  "http.download": law("1 MiB is downloaded byte for byte", [], async (context) => {
    const response = await context.request(`/bytes/${MiB}`)
    equal(response.headers.get("content-length"), String(MiB), "content-length")
    equal(await sha256(await response.arrayBuffer()), await sha256(testBytes(MiB)), "the hash")
  }),

  "http.upload": law("1 MiB is uploaded byte for byte", [], async (context) => {
    const body = testBytes(MiB)
    const found = await json(context.request("/digest", { method: "POST", body }))
    equal(found, { length: MiB, sha256: await sha256(body) }, "what arrived")
  }),

  "http.binary": law("all 256 byte values are uploaded and downloaded", [], async (context) => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i)
    const response = await context.request("/mirror", { method: "PUT", body })
    equal([...new Uint8Array(await response.arrayBuffer())], [...body], "the body")
  }),

  "http.empty-body": law("a POST may have an empty body", [], async (context) => {
    equal((await echo(context, "/echo", { method: "POST" })).body, 0, "the body's length")
    equal((await echo(context, "/echo", { method: "POST", body: "" })).body, 0, "the length of an empty text")
  }),

  "http.stream-down": law("a response's chunk arrives before the next one is written", [], async (context) => {
    const id = context.uniqueName()
    const { text, rest } = await first(await context.request(`/hold/${id}`), "the first chunk")
    equal(text, "first", "the first chunk")
    await context.request(`/release/${id}`)
    equal(await rest(), "second", "the rest")
  }),

  "http.stream-up": law("a request's chunk arrives before the next one is written", [], async (context) => {
    const id = context.uniqueName()
    let sink: ReadableStreamDefaultController<Uint8Array> | undefined
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (sink = controller) })
    const response = context.request(`/upload/${id}`, { method: "POST", body, duplex: "half" } as RequestInit)
    response.catch(() => {})
    sink!.enqueue(testBytes(1_000))
    try {
      await eventually(
        async () => (await json<{ received: number }>(context.request(`/seen/${id}`))).received === 1_000,
        "the first chunk did not arrive while the second was missing",
      )
    } finally {
      sink!.enqueue(testBytes(500))
      sink!.close()
    }
    equal(await json(response), { received: 1_500 }, "what arrived")
  }),

  "http.events": law("an event of text/event-stream arrives at once", [], async (context) => {
    const id = context.uniqueName()
    const response = await context.request(`/hold/${id}?events`, { headers: { accept: "text/event-stream" } })
    equal(response.headers.get("content-type"), "text/event-stream", "content-type")
    const { text, rest } = await first(response, "the first event")
    equal(text, "data: first\n\n", "the first event")
    await context.request(`/release/${id}`)
    equal(await rest(), "data: second\n\n", "the rest")
  }),

  "http.broken": law("a truncated response body is an error and not an end", [], async (context) => {
    const response = await context.request("/broken")
    ok(await failure(response.text(), "a body of 1000 bytes that was truncated after 9"), "it fails")
  }),

  "http.once": law("a POST is sent once", [], async (context) => {
    const id = context.uniqueName()
    equal(
      (await json<{ count: number }>(context.request(`/count/${id}`, { method: "POST", body: "x" }))).count,
      1,
      "the count",
    )
  }),

  "http.concurrent": law("each of 20 concurrent requests gets its own response", [], async (context) => {
    const paths = Array.from({ length: 20 }, (_, i) => `/echo/${i}`)
    const urls = await Promise.all(paths.map(async (path) => (await echo(context, path)).url))
    equal(urls, paths, "the responses")
  }),
}
