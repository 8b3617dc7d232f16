import type { OutgoingRequest } from "../src/fetch/outgoing-request.ts"

/**
 * What every runtime must do alike, as data. Runs inside Node, Bun, Deno and workerd against the server of
 * `fetch.test.ts`, so it uses nothing but the platform's own globals.
 */
export const check = async (
  forwardFetch: (outgoing: OutgoingRequest) => Promise<Response>,
  origin: string,
  closedOrigin: string,
): Promise<Record<string, unknown>> => {
  const send = (target: string, more: Partial<OutgoingRequest> = {}): Promise<Response> =>
    forwardFetch({ origin, target, method: "GET", headers: [], body: null, ...more })
  const failure = async (answer: Promise<Response>): Promise<string> => {
    try {
      return `answered ${(await answer).status}`
    } catch (error) {
      const { _tag, kind, sent, name } = error as Record<"_tag" | "kind" | "sent" | "name", string | undefined>
      return _tag === "SendFailure" ? `${kind} ${sent}` : String(name)
    }
  }
  const upload = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(body) {
        body.enqueue(new TextEncoder().encode("one "))
        body.enqueue(new TextEncoder().encode("two"))
        body.close()
      },
    })
  const redirect = await send("/redirect")
  await redirect.body?.cancel()
  const cookies = await send("/set-cookies")
  await cookies.body?.cancel()
  const seen = (await (
    await send("/head?q=%2e%2E&x=a+b", { headers: ["Cookie", "a=1", "X-Two", "1", "cookie", "b=2", "x-two", "2"] })
  ).json()) as { line: string; headers: [string, string][] }
  const values = (name: string): string => seen.headers.flatMap(([n, v]) => (n === name ? v.split(", ") : [])).join("|")
  const gzip = await send("/gzip", { headers: ["Accept-Encoding", "gzip"] })
  const gzipBytes = new Uint8Array(await gzip.arrayBuffer())
  const plain = await send("/head")
  const asked = ((await plain.json()) as { headers: [string, string][] }).headers.find(([n]) => n === "accept-encoding")
  const left = new AbortController()
  setTimeout(() => left.abort(), 50)

  const named = origin.replace("127.0.0.1", "localhost")
  const pin = `sha256//${"A".repeat(43)}=`
  const loopback = { allowCidrs: ["127.0.0.0/8", "::1/128"] }

  return {
    redirect: [redirect.status, redirect.headers.get("location")],
    cookies: cookies.headers.getSetCookie(),
    line: seen.line,
    cookie: values("cookie").replaceAll("|", "; "),
    repeated: values("x-two"),
    hosts: seen.headers.filter(([n]) => n === "host").length,
    codingMatchesBody: gzip.headers.has("content-encoding") === (gzipBytes[0] === 0x1f),
    codingNobodyAskedFor: asked === undefined || asked[1] === "identity",
    upload: await (await send("/echo", { method: "POST", body: upload() })).text(),
    noContent: [(await send("/204")).status, (await send("/204")).body],
    slowBody: await (await send("/slow-body", { headersTimeoutMs: 150 })).text(),
    headersTimeout: await failure(send("/never", { headersTimeoutMs: 100 })),
    refused: await failure(send("/", { origin: closedOrigin })),
    reset: await failure(send("/reset")),
    aborted: await failure(send("/never", { signal: left.signal })),
    hostInPath: await (await send("//evil.test/x")).text(),
    relative: await failure(send("evil.test/")),
    absolute: await failure(send("http://evil.test/")),
    credentials: await failure(send("/", { origin: origin.replace("//", "//user@") })),
    given: await (
      await send("/given?a=1", {
        method: "PUT",
        headers: ["X-A", "1"],
        body: upload(),
        fetch: async (request) => {
          const { method, url, redirect, headers } = request
          const path = url.slice(origin.length)
          return new Response([method, path, headers.get("x-a"), redirect, await request.text()].join(", "))
        },
      })
    ).text(),
    givenFails: await failure(send("/", { fetch: () => Promise.reject(new TypeError("no such stub")) })),
    givenHangs: await failure(
      send("/", {
        headersTimeoutMs: 100,
        fetch: ({ signal }) =>
          new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
      }),
    ),
    split: await failure(send("/a HTTP/1.1\r\nX: y")),
    addressNotAllowed: await failure(send("/", { addresses: {} })),
    addressNotAllowedSpelling: await failure(
      send("/", { origin: origin.replace("127.0.0.1", "0x7f.1"), addresses: {} }),
    ),
    addressAllowed: await (await send("/", { addresses: { allowCidrs: ["127.0.0.0/8"] } })).text(),
    pinned: await failure(send("/", { pin })),
    pinnedTls: await failure(send("/", { pin, origin: closedOrigin.replace("http:", "https:") })),
    pinnedGiven: await failure(send("/", { pin, fetch: async () => new Response() })),
    caGiven: await failure(send("/", { ca: "PEM", fetch: async () => new Response() })),
    nameNotAllowed: await failure(send("/", { origin: named, addresses: {} })),
    nameNotListed: await failure(send("/", { origin: named, addresses: { ...loopback, allowHosts: ["a.test"] } })),
    nameAllowed: await (
      await send("/", { origin: named, addresses: { ...loopback, allowHosts: ["localhost"] } })
    ).text(),
  }
}
