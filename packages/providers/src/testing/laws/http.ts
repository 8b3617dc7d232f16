import { equal, failure, ok, eventually, within } from "../assert.ts"
import { law, requestOf } from "../world.ts"
import type { World } from "../world.ts"

interface Echo {
  readonly machine: string
  readonly method: string
  readonly url: string
  readonly headers: readonly string[]
  readonly body: number
}
const echo = async (world: World, path: string, init?: RequestInit): Promise<Echo> => {
  const answer = await world.ask(path, init)
  equal(answer.status, 200, "the status")
  return (await answer.json()) as Echo
}
const valueOf = (headers: readonly string[], lowerName: string): string | undefined => {
  const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === lowerName)
  return at < 0 ? undefined : headers[at + 1]
}
const json = async <A>(answer: Response | Promise<Response>): Promise<A> => (await (await answer).json()) as A
const first = async (answer: Response, what: string) => {
  const reader = answer.body!.getReader()
  const { value } = await within(5_000, reader.read(), what)
  const rest = async (): Promise<string> => {
    let text = ""
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += decode(next.value)
    return text
  }
  return { text: decode(value!), rest }
}
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
/** As the app makes them. */
const octets = (count: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: count }, (_, i) => (i * 31 + (i >> 8)) & 255)
const sha256 = async (bytes: BufferSource): Promise<string> =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (octet) =>
    octet.toString(16).padStart(2, "0"),
  ).join("")
const MiB = 1_048_576

/** What arrives at the app, and what comes back, is what was sent. */
export const http = {
  "http.methods": law("a method arrives as it is", [], async (world) => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      equal((await echo(world, "/echo", { method })).method, method, "the method")
    }
  }),

  "http.path-escapes": law("a path's escapes arrive as they were written", [], async (world) => {
    const path = "/echo/a%2Fb%20c%2f/%C3%A9/~!$&'()*+,;=:@"
    equal((await echo(world, path)).url, path, "the path")
  }),

  "http.path-slashes": law("a path's empty segments arrive", [], async (world) => {
    equal((await echo(world, "//echo//b/")).url, "//echo//b/", "the path")
  }),

  "http.query": law("a query arrives as it was written", [], async (world) => {
    const path = "/echo?a=1&a=2&b=%20+&empty=&flag&c=%2F/?"
    equal((await echo(world, path)).url, path, "the path")
  }),

  "http.request-headers": law("a request's headers arrive", [], async (world) => {
    const sent = { "x-one": "1", "x-long": "l".repeat(4_096), accept: "text/x; q=0.5", "if-none-match": `W/"x"` }
    const { headers } = await echo(world, "/echo", { headers: sent })
    for (const [name, value] of Object.entries(sent)) equal(valueOf(headers, name), value, name)
  }),

  "http.eaten-headers": law("a header that the platform eats arrives", [], async (world) => {
    const sent: Record<string, string> = { authorization: "Bearer the-apps-own", cookie: "a=1; b=2" }
    for (const name of world.provider.capabilities.interceptedHeaders) sent[name] ??= `the-client's-${name}`
    // These say where a request goes and how it is framed; they are no client's to choose.
    for (const name of ["host", "connection", "content-length", "transfer-encoding", "upgrade"]) delete sent[name]
    // A router adds these itself, and a fetcher alone believes no client's.
    for (const name of Object.keys(sent))
      if (/^(?:x-forwarded-|forwarded$|cf-|fastly-|via$)/.test(name)) delete sent[name]
    const { headers } = await echo(world, "/echo", { headers: sent })
    for (const [name, value] of Object.entries(sent)) equal(valueOf(headers, name), value, name)
  }),

  "http.hop-headers": law("a client's copies of our own headers do not arrive", [], async (world) => {
    const sent = {
      "x-iterate-proxy-ticket": "forged",
      "x-iterate-proxy-target-host": "localhost:22",
      "x-iterate-proxy-fwd-x-admin": "1",
    }
    const { headers } = await echo(world, "/echo", { headers: sent })
    for (const name of [...Object.keys(sent), "x-admin"]) equal(valueOf(headers, name), undefined, name)
  }),

  "http.cookies": law("two Set-Cookie stay two, in their order", [], async (world) => {
    equal(
      (await world.ask("/cookies")).headers.getSetCookie(),
      ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"],
      "the cookies",
    )
  }),

  "http.response-headers": law("an answer's headers come back", [], async (world) => {
    const { headers } = await world.ask("/headers")
    equal([headers.get("x-one"), headers.get("x-two"), headers.get("etag")], ["1", "a, b", `"x"`], "the headers")
    equal(headers.get("x-long")?.length, 4_096, "the length of a long one")
  }),

  "http.statuses": law("an app's status comes back with its body, whatever it is", [], async (world) => {
    for (const status of [200, 201, 400, 401, 403, 404, 410, 418, 421, 422, 429]) {
      const answer = await world.ask(`/status/${status}`)
      equal([answer.status, await answer.text()], [status, `status ${status}`], "the answer")
    }
  }),

  "http.app-failures": law("an app's own 5xx is its answer and not the platform's", [], async (world) => {
    for (const status of [500, 501, 502, 503, 504, 520, 530]) {
      const answer = await world.ask(`/status/${status}`)
      equal([answer.status, await answer.text()], [status, `status ${status}`], "the answer")
    }
  }),

  "http.app-closed": law(
    "a port inside on which nothing listens is answered by the machine's proxy",
    [],
    async (world) => {
      const answer = await world.fetcher({ port: 9 })(requestOf("/who"))
      equal([answer.status, answer.headers.get("x-iterate-proxy-error")], [502, "PORT_CLOSED"], "the answer")
      await answer.body?.cancel()
    },
  ),

  "http.head": law("HEAD brings a head and no body", [], async (world) => {
    const answer = await world.ask("/bytes/1000", { method: "HEAD" })
    equal([answer.status, answer.headers.get("content-length")], [200, "1000"], "the head")
    equal(await answer.text(), "", "the body")
  }),

  "http.no-body": law("204 and 304 have no body", [], async (world) => {
    for (const status of [204, 304]) {
      const answer = await world.ask(`/status/${status}`)
      equal(
        [answer.status, answer.headers.get("x-app"), await answer.text()],
        [status, world.machine.id, ""],
        "the answer",
      )
    }
  }),

  "http.redirects": law("a redirect is the client's to follow", [], async (world) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const answer = await world.ask(`/redirect/${status}`)
      equal([answer.status, answer.headers.get("location")], [status, "/who?from=redirect"], "the answer")
      await answer.body?.cancel()
    }
  }),

  "http.gzip": law("a compressed body comes back as it is", [], async (world) => {
    const answer = await world.ask("/gzip", { headers: { "accept-encoding": "gzip" } })
    equal(answer.headers.get("content-encoding"), "gzip", "content-encoding")
    const body = new Uint8Array(await answer.arrayBuffer())
    equal([body[0], body[1], body.length], [0x1f, 0x8b, 32], "the body's first octets and its length")
  }),

  "http.download": law("1 MiB comes down octet for octet", [], async (world) => {
    const answer = await world.ask(`/bytes/${MiB}`)
    equal(answer.headers.get("content-length"), String(MiB), "content-length")
    equal(await sha256(await answer.arrayBuffer()), await sha256(octets(MiB)), "the hash")
  }),

  "http.upload": law("1 MiB goes up octet for octet", [], async (world) => {
    const body = octets(MiB)
    const found = await json(world.ask("/digest", { method: "POST", body }))
    equal(found, { length: MiB, sha256: await sha256(body) }, "what arrived")
  }),

  "http.binary": law("all 256 octets go up and come down", [], async (world) => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i)
    const answer = await world.ask("/mirror", { method: "PUT", body })
    equal([...new Uint8Array(await answer.arrayBuffer())], [...body], "the body")
  }),

  "http.empty-body": law("a POST may have nothing to say", [], async (world) => {
    equal((await echo(world, "/echo", { method: "POST" })).body, 0, "the body's length")
    equal((await echo(world, "/echo", { method: "POST", body: "" })).body, 0, "the length of an empty text")
  }),

  "http.stream-down": law("a chunk comes down before the next one exists", [], async (world) => {
    const id = world.unique()
    const { text, rest } = await first(await world.ask(`/hold/${id}`), "the first chunk")
    equal(text, "first", "the first chunk")
    await world.ask(`/release/${id}`)
    equal(await rest(), "second", "the rest")
  }),

  "http.stream-up": law("a chunk goes up before the next one exists", [], async (world) => {
    const id = world.unique()
    let sink: ReadableStreamDefaultController<Uint8Array> | undefined
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (sink = controller) })
    const answer = world.ask(`/upload/${id}`, { method: "POST", body, duplex: "half" } as RequestInit)
    answer.catch(() => {})
    sink!.enqueue(octets(1_000))
    try {
      await eventually(
        async () => (await json<{ received: number }>(world.ask(`/seen/${id}`))).received === 1_000,
        "the first chunk did not arrive while the second was missing",
      )
    } finally {
      sink!.enqueue(octets(500))
      sink!.close()
    }
    equal(await json(answer), { received: 1_500 }, "what arrived")
  }),

  "http.events": law("an event of text/event-stream comes down at once", [], async (world) => {
    const id = world.unique()
    const answer = await world.ask(`/hold/${id}?events`, { headers: { accept: "text/event-stream" } })
    equal(answer.headers.get("content-type"), "text/event-stream", "content-type")
    const { text, rest } = await first(answer, "the first event")
    equal(text, "data: first\n\n", "the first event")
    await world.ask(`/release/${id}`)
    equal(await rest(), "data: second\n\n", "the rest")
  }),

  "http.broken": law("a body that broke off fails, and does not end", [], async (world) => {
    const answer = await world.ask("/broken")
    ok(await failure(answer.text(), "a body of 1000 octets that broke off after 9"), "it fails")
  }),

  "http.once": law("a request that changes something is made once", [], async (world) => {
    const id = world.unique()
    equal(
      (await json<{ count: number }>(world.ask(`/count/${id}`, { method: "POST", body: "x" }))).count,
      1,
      "the count",
    )
  }),

  "http.concurrent": law("each of 20 requests at once gets its own answer", [], async (world) => {
    const paths = Array.from({ length: 20 }, (_, i) => `/echo/${i}`)
    const urls = await Promise.all(paths.map(async (path) => (await echo(world, path)).url))
    equal(urls, paths, "the answers")
  }),
}
