/**
 * What a raw client sends, and what it gets of the router on sockets; and where a router in a server of node:http differs, because
 * node:http reads the request before. Each row is for `misha.iterate.app`.
 */

export interface RawRow {
  readonly id: string
  readonly title: string
  /** One character per byte. */
  readonly sent: string
  /** The client's FIN comes with the last byte. */
  readonly ends?: true
  /** Status and code of each response, in order; then `closed`, unless the connection is kept. */
  readonly gets: string
  /** Lines of the requests that the machine's app saw. Default: none. */
  readonly sees?: readonly string[]
  /** What a mounted router does instead, and why. It must be another result. */
  readonly mounted?: { readonly gets: string; readonly sees?: readonly string[]; readonly reason: string }
}

const host = "Host: misha.iterate.app"
const get = (...fields: readonly string[]): string => ["GET /a HTTP/1.1", host, ...fields, "", ""].join("\r\n")
const post = (fields: readonly string[], body: string): string =>
  ["POST /a HTTP/1.1", host, ...fields, "", body].join("\r\n")
const hidden = "GET /hidden HTTP/1.1\r\nHost: misha.iterate.app\r\n\r\n"
const sees = ["GET /a HTTP/1.1"]
const posted = ["POST /a HTTP/1.1"]
const malformed = "400 REQUEST_MALFORMED, closed"
/** node:http's own parser refuses it, with its own response, unless the app has a `clientError` listener. */
const parser = { gets: "400, closed", reason: "node:http's parser refuses it first" } as const

export const rawRows: readonly RawRow[] = [
  // ---- the length of a request ----------------------------------------------------------------------------------------
  {
    id: "F01",
    title: "Content-Length beside Transfer-Encoding",
    sent: post(["Content-Length: 4", "Transfer-Encoding: chunked"], `0\r\n\r\n${hidden}`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F02",
    title: "two lengths that differ",
    sent: post(["Content-Length: 5", "Content-Length: 6"], "hello!"),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F03",
    title: "the same length twice",
    sent: post(["Content-Length: 5", "Content-Length: 5"], "hello"),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F04",
    title: "a length with a sign",
    sent: post(["Content-Length: +5"], "hello"),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F05",
    title: "chunked twice",
    sent: post(["Transfer-Encoding: chunked, chunked"], `0\r\n\r\n${hidden}`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F06",
    title: "an unknown coding",
    sent: post(["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
    gets: "501 CODING_UNKNOWN, closed",
    mounted: parser,
  },
  {
    id: "F07",
    title: "a disguised chunked",
    sent: post(["Transfer-Encoding: \x0bchunked"], `0\r\n\r\n${hidden}`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F08",
    title: "chunked in HTTP/1.0",
    sent: `POST /a HTTP/1.0\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    gets: malformed,
  },
  {
    id: "F09",
    title: "a chunk size with a prefix",
    sent: post(["Transfer-Encoding: chunked"], `0x5\r\nhello\r\n0\r\n\r\n${hidden}`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F10",
    title: "a chunk that is longer than its size",
    sent: post(["Transfer-Encoding: chunked"], `4\r\nhello\r\n0\r\n\r\n${hidden}`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F11",
    title: "a chunk size that is negative",
    sent: post(["Transfer-Encoding: chunked"], `-5\r\nhello\r\n0\r\n\r\n`),
    gets: malformed,
    mounted: parser,
  },
  {
    id: "F12",
    title: "a chunk extension",
    sent: post(["Transfer-Encoding: chunked"], "5;a=b\r\nhello\r\n0\r\n\r\n"),
    gets: "200",
    sees: posted,
  },
  {
    id: "F13",
    title: "a length in the trailers",
    sent: post(["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"),
    gets: "200",
    sees: posted,
    mounted: parser,
  },
  {
    id: "F14",
    title: "a body, and a request behind it",
    sent: post(["Content-Length: 5"], `hello${hidden}`),
    gets: "200, 200",
    sees: [...posted, "GET /hidden HTTP/1.1"],
  },
  // ---- fields ---------------------------------------------------------------------------------------------------------
  { id: "H01", title: "a folded field", sent: get("X: a\r\n b"), gets: malformed, mounted: parser },
  { id: "H02", title: "a space before the colon", sent: get("X : a"), gets: malformed, mounted: parser },
  { id: "H03", title: "a bare LF in the head", sent: get("X: a\nY: b"), gets: malformed, mounted: parser },
  { id: "H04", title: "a bare CR in a value", sent: get("X: a\rY: b"), gets: malformed, mounted: parser },
  { id: "H05", title: "NUL in a value", sent: get("X: a\0b"), gets: malformed, mounted: parser },
  { id: "H06", title: "a name that is no token", sent: get("X(y): a"), gets: malformed, mounted: parser },
  {
    id: "H07",
    title: "a head above 16 KiB",
    sent: get(`X: ${"a".repeat(20_000)}`),
    gets: "200",
    sees,
    mounted: { gets: "431, closed", reason: "node:http takes 16 KiB (maxHeaderSize)" },
  },
  {
    id: "H08",
    title: "more than 1 000 fields",
    sent: get(...Array.from({ length: 1_001 }, () => "X: a")),
    gets: "431 REQUEST_HEAD_TOO_LARGE, closed",
    mounted: { gets: "431, closed", reason: "node:http adds something for each field to the size of the head" },
  },
  {
    id: "H09",
    title: "Expect with another value",
    sent: post(["Content-Length: 5", "Expect: 200-ok"], "hello"),
    gets: "417 EXPECTATION_FAILED, closed",
  },
  {
    id: "H10",
    title: "Connection names fields that are needed",
    sent: get("Connection: host, content-length"),
    gets: "200",
    sees,
  },
  // ---- who it is for --------------------------------------------------------------------------------------------------
  { id: "A01", title: "no Host", sent: "GET /a HTTP/1.1\r\n\r\n", gets: malformed, mounted: parser },
  { id: "A02", title: "the same Host twice", sent: get(host), gets: malformed },
  { id: "A03", title: "two Hosts", sent: get("Host: app.example.com"), gets: malformed },
  { id: "A04", title: "a user in Host", sent: "GET /a HTTP/1.1\r\nHost: a@misha.iterate.app\r\n\r\n", gets: malformed },
  { id: "A05", title: "a path in Host", sent: "GET /a HTTP/1.1\r\nHost: misha.iterate.app/b\r\n\r\n", gets: malformed },
  {
    id: "A06",
    title: "a port that there is not",
    sent: "GET /a HTTP/1.1\r\nHost: misha.iterate.app:99999\r\n\r\n",
    gets: malformed,
  },
  {
    id: "A07",
    title: "a list in Host",
    sent: "GET /a HTTP/1.1\r\nHost: misha.iterate.app, app.example.com\r\n\r\n",
    gets: malformed,
  },
  {
    id: "A08",
    title: "a root dot and capitals in Host",
    sent: "GET /a HTTP/1.1\r\nHost: MISHA.iterate.APP.:8080\r\n\r\n",
    gets: "200",
    sees,
  },
  {
    id: "A09",
    title: "an absolute-form, whose authority replaces Host",
    sent: "GET http://misha.iterate.app/a HTTP/1.1\r\nHost: app.example.com\r\n\r\n",
    gets: "200",
    sees,
  },
  {
    id: "A10",
    title: "an absolute-form with a user",
    sent: "GET http://a@misha.iterate.app/a HTTP/1.1\r\nHost: misha.iterate.app\r\n\r\n",
    gets: malformed,
  },
  {
    id: "A11",
    title: "an absolute-form of https",
    sent: "GET https://misha.iterate.app/a HTTP/1.1\r\nHost: misha.iterate.app\r\n\r\n",
    gets: malformed,
  },
  // ---- the request line -----------------------------------------------------------------------------------------------
  {
    id: "L01",
    title: "two spaces",
    sent: `GET  /a HTTP/1.1\r\n${host}\r\n\r\n`,
    gets: malformed,
    mounted: { gets: "200", sees, reason: "node:http's parser takes several spaces for one" },
  },
  { id: "L02", title: "a fragment", sent: `GET /a#b HTTP/1.1\r\n${host}\r\n\r\n`, gets: malformed },
  {
    id: "L03",
    title: "HTTP/2.0",
    sent: `GET /a HTTP/2.0\r\n${host}\r\n\r\n`,
    gets: "505 VERSION_UNKNOWN, closed",
  },
  {
    id: "L04",
    title: "no version",
    sent: `GET /a\r\n${host}\r\n\r\n`,
    gets: malformed,
    mounted: { gets: "505 VERSION_UNKNOWN, closed", reason: "node:http's parser takes it for HTTP/0.9" },
  },
  {
    id: "L05",
    title: "CONNECT",
    sent: "CONNECT misha.iterate.app:80 HTTP/1.1\r\nHost: misha.iterate.app:80\r\n\r\n",
    gets: "405 METHOD_REFUSED, closed",
    mounted: { gets: "closed", reason: "CONNECT is the app's: without a `connect` listener node:http closes" },
  },
  { id: "L06", title: "TRACE", sent: `TRACE /a HTTP/1.1\r\n${host}\r\n\r\n`, gets: "405 METHOD_REFUSED, closed" },
  {
    id: "L07",
    title: "an unknown method",
    sent: `FOO /a HTTP/1.1\r\n${host}\r\n\r\n`,
    gets: "501 METHOD_UNKNOWN, closed",
    mounted: parser,
  },
  { id: "L08", title: "HTTP/1.0", sent: `GET /a HTTP/1.0\r\n${host}\r\n\r\n`, gets: "200, closed", sees },
  { id: "L09", title: "empty lines before it", sent: `\r\n\r\n${get()}`, gets: "200", sees },
  // ---- what follows ---------------------------------------------------------------------------------------------------
  {
    id: "C01",
    title: "two requests at once",
    sent: get() + hidden,
    gets: "200, 200",
    sees: [...sees, "GET /hidden HTTP/1.1"],
  },
  {
    id: "C02",
    title: "Connection: close, and a request behind it",
    sent: get("Connection: close") + hidden,
    gets: "200, closed",
    sees,
    mounted: {
      gets: "400, closed",
      sees: [],
      reason: "node:http's parser refuses what follows a last request, and ends the connection at once",
    },
  },
  {
    id: "C03",
    title: "an upgrade that is no WebSocket's",
    sent: get("Connection: upgrade", "Upgrade: h2c"),
    gets: "200",
    sees,
  },
  {
    id: "C04",
    title: "a handshake that is refused, and a request behind it",
    sent:
      get(
        "Connection: upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
      ) + hidden,
    gets: "200, closed",
    sees,
  },
  {
    id: "C05",
    title: "a request, then the client's FIN",
    sent: get(),
    ends: true,
    gets: "200, closed",
    sees,
    mounted: { gets: "closed", reason: "node:http ends a connection whose client has ended its side" },
  },
]
