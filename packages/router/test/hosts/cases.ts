/**
 * What every host does with a request and its response, case by case. Where a platform forces another result, the case says which
 * and why, and docs/workers.md says so, too.
 */
import type { Script } from "../../../machine-proxy/test/catalogue/harness.ts"
import { bytes, closing, ok } from "../../../machine-proxy/test/catalogue/harness.ts"

/** A message as far as a case looks at it. */
export interface Seen {
  /** Its first line. */
  readonly line?: string
  /** The value of every line of a field, by the field's name in lower case; an empty list when it must be absent. */
  readonly fields?: Readonly<Record<string, readonly string[]>>
  readonly body?: string
  /** Names of fields as they were written, of those that `fields` has. */
  readonly names?: readonly string[]
  readonly trailers?: readonly (readonly [string, string])[]
  /** First lines of the interim responses before it. */
  readonly interim?: readonly string[]
}

/** What an app sees and a client gets. */
export interface Result {
  readonly app: Seen | "nothing"
  readonly client: Seen
}

export interface HostCase {
  readonly title: string
  /** The request, one character per byte, after its `Host` line: it is put behind the first line. */
  readonly request: string
  /** What the app does. Default: 200 with the body `ok`. */
  readonly responds?: Script
  readonly expected: Result
  /** Where Workers differ. */
  readonly worker?: Difference
  /** Where a router in a server of node:http differs. */
  readonly mounted?: Difference
}

export interface Difference {
  /** What happens instead. */
  readonly instead: string
  readonly reason: string
  /** What is expected instead of the same parts of the case's own. */
  readonly expected: Partial<Result>
}

const get = (...fields: readonly string[]): string => ["GET /a HTTP/1.1", ...fields, "", ""].join("\r\n")
const whole = { line: "HTTP/1.1 200 OK", body: "ok" } as const
const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`

/** `GET` and `HEAD` with a declared body, as monitors and some clients send them. */
const declaredBodies: readonly HostCase[] = (["GET", "HEAD"] as const).flatMap((method): HostCase[] => {
  const line = `${method} /a HTTP/1.1`
  const client = { ...whole, body: method === "HEAD" ? "" : "ok" }
  const reason = "workerd writes no framing for a `GET` or `HEAD` without bytes; to an app both are the same request"
  return [
    {
      title: `${method} with \`Content-Length: 0\``,
      request: `${line}\r\nContent-Length: 0\r\n\r\n`,
      expected: { app: { line, fields: { "content-length": ["0"] }, body: "" }, client },
      worker: {
        instead: "the app sees the request without `Content-Length`",
        reason,
        expected: { app: { line, fields: { "content-length": [], "transfer-encoding": [] }, body: "" } },
      },
    },
    {
      title: `${method} with an empty chunked body`,
      request: `${line}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      expected: { app: { line, fields: { "transfer-encoding": ["chunked"] }, body: "" }, client },
      worker: {
        instead: "the app sees the request without `Transfer-Encoding`",
        reason,
        expected: { app: { line, fields: { "content-length": [], "transfer-encoding": [] }, body: "" } },
      },
    },
    {
      title: `${method} with a body and its length`,
      request: `${line}\r\nContent-Length: 5\r\n\r\nhello`,
      expected: { app: { line, fields: { "content-length": ["5"] }, body: "hello" }, client },
    },
    {
      title: `${method} with a chunked body`,
      request: `${line}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      expected: { app: { line, fields: { "transfer-encoding": ["chunked"] }, body: "hello" }, client },
      worker: {
        instead: "411 `LENGTH_REQUIRED`; with a `Content-Length` the body passes",
        reason:
          "workerd drops a body of unknown length from a `GET` or `HEAD` (cloudflare/workerd#1122), and a request without its body is another request",
        expected: {
          app: "nothing",
          client: { line: "HTTP/1.1 411 Length Required", fields: { "x-iterate-proxy-error": ["LENGTH_REQUIRED"] } },
        },
      },
    },
  ]
})

const otherBodies: readonly HostCase[] = [
  {
    title: "a body with its length",
    request: "DELETE /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    expected: { app: { fields: { "content-length": ["5"] }, body: "hello" }, client: whole },
  },
  {
    title: "a chunked body",
    request: "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    expected: { app: { fields: { "transfer-encoding": ["chunked"] }, body: "hello" }, client: whole },
  },
  {
    title: "a method other than `GET` and `HEAD` without a body",
    request: "PROPFIND /a HTTP/1.1\r\n\r\n",
    expected: { app: { line: "PROPFIND /a HTTP/1.1", fields: { "content-length": [] }, body: "" }, client: whole },
    worker: {
      instead: "the app sees `Content-Length: 0`",
      reason: "workerd declares a body of no bytes; to an app both are the same request (RFC 9112 §6.3)",
      expected: { app: { line: "PROPFIND /a HTTP/1.1", fields: { "content-length": ["0"] }, body: "" } },
    },
  },
  {
    title: "a request that waits for `100 Continue`",
    request: "POST /a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    expected: { app: { body: "hello" }, client: whole },
  },
]

const fields: readonly HostCase[] = [
  {
    title: "two `Cookie` lines",
    request: get("Cookie: a=1; b=2", 'Cookie: c="x, y=2"'),
    expected: { app: { fields: { cookie: ["a=1; b=2", 'c="x, y=2"'] } }, client: whole },
    worker: {
      instead: "the app sees one line, joined by `; `",
      reason:
        "workerd joins lines by `, `, which makes one broken cookie of two; the router puts `; ` where a cookie begins (RFC 6265 §5.4)",
      expected: { app: { fields: { cookie: ['a=1; b=2; c="x, y=2"'] } } },
    },
  },
  {
    title: "a field with several lines",
    request: get("X-A: 1", "X-A: 2"),
    responds: ok("ok", "X-B: 3", "X-B: 4", "WWW-Authenticate: Basic", "WWW-Authenticate: Digest"),
    expected: {
      app: { fields: { "x-a": ["1", "2"] } },
      client: { fields: { "x-b": ["3", "4"], "www-authenticate": ["Basic", "Digest"] } },
    },
    worker: {
      instead: "one line, joined by `, `, both ways",
      reason: "`Headers` holds one value for a name; both mean the same (RFC 9110 §5.3)",
      expected: {
        app: { fields: { "x-a": ["1, 2"] } },
        client: { fields: { "x-b": ["3, 4"], "www-authenticate": ["Basic, Digest"] } },
      },
    },
  },
  {
    title: "several `Set-Cookie` lines",
    request: get(),
    responds: ok("ok", "Set-Cookie: a=1; Expires=Tue, 15 Nov 2094 12:45:26 GMT", "Set-Cookie: b=2"),
    expected: {
      app: {},
      client: { fields: { "set-cookie": ["a=1; Expires=Tue, 15 Nov 2094 12:45:26 GMT", "b=2"] } },
    },
  },
  {
    title: "the platform's cookies, on both ways",
    request: get("Cookie: a=1; platform_session=x; b=2; __Host-platform-csrf=y;  c=3"),
    responds: ok(
      "ok",
      "Set-Cookie: platform_session=evil",
      "Set-Cookie: =__Host-platform-csrf=evil",
      "Set-Cookie: platform=1",
    ),
    expected: {
      app: { fields: { cookie: ["a=1; b=2;  c=3"] } },
      client: { fields: { "set-cookie": ["platform=1"] } },
    },
  },
  {
    title: "cookies with `Domain`",
    request: get(),
    responds: ok(
      "ok",
      "Set-Cookie: a=1; Domain=iterate.app; Path=/",
      "Set-Cookie: b=2; Domain=misha.iterate.app; Path=/",
    ),
    expected: {
      app: {},
      client: { fields: { "set-cookie": ["a=1; Path=/", "b=2; Domain=misha.iterate.app; Path=/"] } },
    },
  },
  {
    title: "fields that a browser applies to more than the app",
    request: get(),
    responds: ok(
      "ok",
      'Clear-Site-Data: "cookies"',
      "Strict-Transport-Security: max-age=60; includeSubDomains; preload",
      'NEL: {"report_to":"a","max_age":60}',
      "X-Kept: 1",
    ),
    expected: {
      app: {},
      client: {
        fields: {
          "clear-site-data": [],
          "strict-transport-security": ["max-age=60"],
          nel: [],
          "x-kept": ["1"],
        },
      },
    },
  },
  {
    title: "names of fields, as they are written",
    request: get("X-PoWeRed: 1"),
    responds: ok("ok", "X-ShOuTed: 1"),
    expected: {
      app: { fields: { "x-powered": ["1"] }, names: ["X-PoWeRed"] },
      client: { fields: { "x-shouted": ["1"] }, names: ["X-ShOuTed"] },
    },
    worker: {
      instead: "names are lower case, or as workerd writes them",
      reason: "`Headers` has lower-case names; case has no meaning (RFC 9110 §5.1)",
      expected: {
        app: { fields: { "x-powered": ["1"] }, names: ["x-powered"] },
        client: { fields: { "x-shouted": ["1"] }, names: ["x-shouted"] },
      },
    },
  },
  {
    title: "bytes above 0x7F in a field",
    request: get("X-A: caf\xe9", "X-B: caf\xc3\xa9"),
    responds: ok("ok", "X-C: caf\xe9", "X-D: caf\xc3\xa9"),
    expected: {
      app: { fields: { "x-a": ["caf\xe9"], "x-b": ["caf\xc3\xa9"] } },
      client: { fields: { "x-c": ["caf\xe9"], "x-d": ["caf\xc3\xa9"] } },
    },
    worker: {
      instead: "UTF-8 passes; any other byte becomes U+FFFD",
      reason: "workerd reads and writes fields as UTF-8 (cloudflare/workerd#6927)",
      expected: {
        app: { fields: { "x-a": ["caf\xef\xbf\xbd"], "x-b": ["caf\xc3\xa9"] } },
        client: { fields: { "x-c": ["caf\xef\xbf\xbd"], "x-d": ["caf\xc3\xa9"] } },
      },
    },
  },
  {
    title: "`Accept-Encoding`, and a coded body",
    request: get("Accept-Encoding: zstd;q=0.5, br"),
    responds: ok("\x00\xff coded", "Content-Encoding: zstd"),
    expected: {
      app: { fields: { "accept-encoding": ["zstd;q=0.5, br"] } },
      client: { fields: { "content-encoding": ["zstd"] }, body: "\x00\xff coded" },
    },
  },
  {
    title: "no `Accept-Encoding`, and a body that is coded none the less",
    request: get(),
    responds: ok("\x1f\x8b no gzip", "Content-Encoding: gzip"),
    expected: {
      app: { fields: { "accept-encoding": [] } },
      client: { fields: { "content-encoding": ["gzip"] }, body: "\x1f\x8b no gzip" },
    },
  },
  {
    title: "`Cache-Control` and `Pragma` of the client, and of the app",
    request: get("Cache-Control: max-age=0", "Pragma: no-cache"),
    responds: ok("ok", "Cache-Control: public , max-age=600", "CDN-Cache-Control: max-age=60"),
    expected: {
      app: { fields: { "cache-control": ["max-age=0"], pragma: ["no-cache"] } },
      client: { fields: { "cache-control": ["public , max-age=600"], "cdn-cache-control": ["max-age=60"] } },
    },
  },
  {
    title: "neither `Cache-Control` nor `Pragma`",
    request: get(),
    expected: {
      app: { fields: { "cache-control": [], pragma: [], "cf-worker": [] } },
      client: { fields: { "cache-control": [], "cdn-cache-control": [] } },
    },
  },
  {
    title: "the client's own claims about itself",
    request: get("CF-Connecting-IP: 192.0.2.9", "X-Real-IP: 192.0.2.9", "x-iterate-user: admin"),
    expected: {
      app: { fields: { "cf-connecting-ip": [], "x-real-ip": [], "x-iterate-user": [] } },
      client: whole,
    },
  },
]

const targets: readonly HostCase[] = [
  {
    title: "`//` and an empty query in the path",
    request: "GET //a//b? HTTP/1.1\r\n\r\n",
    expected: { app: { line: "GET //a//b? HTTP/1.1" }, client: whole },
  },
  {
    title: "escaped bytes in the path",
    request: "GET /%2Fa%20%zz?q=%22 HTTP/1.1\r\n\r\n",
    expected: { app: { line: "GET /%2Fa%20%zz?q=%22 HTTP/1.1" }, client: whole },
  },
  {
    title: "dot segments in the path",
    request: "GET /a/../b/%2e%2e/./c HTTP/1.1\r\n\r\n",
    expected: { app: { line: "GET /a/../b/%2e%2e/./c HTTP/1.1" }, client: whole },
    worker: {
      instead: "the app sees `/c`",
      reason: "a URL has no dot segments (WHATWG URL), and `Request` has no other target",
      expected: { app: { line: "GET /c HTTP/1.1" } },
    },
  },
  {
    title: "`\\` in the path",
    request: "GET /a\\b HTTP/1.1\r\n\r\n",
    expected: { app: { line: "GET /a\\b HTTP/1.1" }, client: whole },
    worker: {
      instead: "the app sees `/a/b`",
      reason: "`\\` is `/` in a URL (WHATWG URL)",
      expected: { app: { line: "GET /a/b HTTP/1.1" } },
    },
  },
  {
    title: "raw bytes above 0x7F in the path",
    request: "GET /caf\xc3\xa9 HTTP/1.1\r\n\r\n",
    expected: {
      app: "nothing",
      client: { line: "HTTP/1.1 400 Bad Request", fields: { "x-iterate-proxy-error": ["REQUEST_MALFORMED"] } },
    },
    worker: {
      instead: "the app sees UTF-8 escaped; other bytes are a 400 of workerd's own",
      reason:
        "workerd decodes the target before the router sees it; serveNode refuses it, as node:http does (RFC 9112 §3.2)",
      expected: { app: { line: "GET /caf%C3%A9 HTTP/1.1" }, client: whole },
    },
    mounted: {
      instead: "400 without a code",
      reason: "node:http refuses it before the router sees it",
      expected: {
        app: "nothing",
        client: { line: "HTTP/1.1 400 Bad Request", fields: { "x-iterate-proxy-error": [] } },
      },
    },
  },
  {
    title: "`OPTIONS *`",
    request: "OPTIONS * HTTP/1.1\r\n\r\n",
    expected: { app: { line: "OPTIONS * HTTP/1.1" }, client: whole },
    worker: {
      instead: "400 `HOSTNAME_MALFORMED`",
      reason: "workerd makes the `*` a part of the URL's host, which the router then takes for an attack",
      expected: {
        app: "nothing",
        client: { line: "HTTP/1.1 400 Bad Request", fields: { "x-iterate-proxy-error": ["HOSTNAME_MALFORMED"] } },
      },
    },
  },
]

const responses: readonly HostCase[] = [
  {
    title: "a status with a reason of its own",
    request: get(),
    responds: bytes(says("299 Fine By Me", "Content-Length: 2"), "ok"),
    expected: { app: {}, client: { line: "HTTP/1.1 299 Fine By Me", body: "ok" } },
  },
  {
    title: "`HEAD`, and the length that a `GET` would have",
    request: "HEAD /a HTTP/1.1\r\n\r\n",
    responds: bytes(says("200 OK", "Content-Length: 2222")),
    expected: { app: {}, client: { line: "HTTP/1.1 200 OK", fields: { "content-length": ["2222"] }, body: "" } },
  },
  {
    title: "304",
    request: get('If-None-Match: "x"'),
    responds: bytes(says("304 Not Modified", 'ETag: "x"')),
    expected: {
      app: { fields: { "if-none-match": ['"x"'] } },
      client: { line: "HTTP/1.1 304 Not Modified", fields: { etag: ['"x"'] }, body: "" },
    },
  },
  {
    title: "a body that ends with the app's connection",
    request: get(),
    responds: closing(says("200 OK"), "until the end"),
    expected: { app: {}, client: { body: "until the end" } },
  },
  {
    title: "a redirect",
    request: get(),
    responds: bytes(says("307 Temporary Redirect", "Location: /next", "Content-Length: 0")),
    expected: { app: {}, client: { line: "HTTP/1.1 307 Temporary Redirect", fields: { location: ["/next"] } } },
  },
  {
    title: "fields by which an app commands a front server",
    request: get(),
    responds: ok("ok", "X-Accel-Redirect: /secret", "Fly-Replay: app=x", "Alt-Svc: h3", "X-Iterate-Secret: 1"),
    expected: {
      app: {},
      client: {
        fields: { "x-accel-redirect": [], "fly-replay": [], "alt-svc": [], "x-iterate-secret": [] },
        body: "ok",
      },
    },
  },
  {
    title: "Early Hints",
    request: get(),
    responds: bytes(says("103 Early Hints", "Link: </a.css>; rel=preload"), says("200 OK", "Content-Length: 2"), "ok"),
    expected: { app: {}, client: { ...whole, interim: ["HTTP/1.1 103 Early Hints"] } },
    worker: {
      instead: "dropped",
      reason: "`fetch` gives no interim response to its caller",
      expected: { client: { ...whole, interim: [] } },
    },
  },
  {
    title: "trailers",
    request: get("TE: trailers", "Connection: TE"),
    responds: bytes(says("200 OK", "Transfer-Encoding: chunked", "Trailer: X-T"), "2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"),
    expected: { app: { fields: { te: ["trailers"] } }, client: { ...whole, trailers: [["X-T", "1"]] } },
    worker: {
      instead: "dropped, and `TE` with them",
      reason: "Fetch has none",
      expected: { app: { fields: { te: [] } }, client: { ...whole, trailers: [] } },
    },
  },
]

/** A WebSocket handshake, but for `Host`. */
export const handshake = [
  "GET /socket HTTP/1.1",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "Sec-WebSocket-Protocol: chat",
  "",
  "",
].join("\r\n")

const webSockets: readonly HostCase[] = [
  {
    title: "a WebSocket that the app refuses",
    request: handshake,
    responds: bytes(says("401 No", "X-Why: 1", "Content-Length: 2"), "no"),
    expected: {
      app: { fields: { upgrade: ["websocket"], "sec-websocket-protocol": ["chat"] } },
      client: { line: "HTTP/1.1 401 No", fields: { "x-why": ["1"] }, body: "no" },
    },
  },
]

export const cases: readonly HostCase[] = [
  ...declaredBodies,
  ...otherBodies,
  ...fields,
  ...targets,
  ...responses,
  ...webSockets,
]
