/**
 * What a tenant can do that is root in its machine: a program on raw sockets in the place of the machine proxy, or of an app behind
 * it, that gives every hostile response we know of.
 */
import type { Socket } from "node:net"

/** The head of a request as it came. */
export interface SeenRequest {
  readonly method: string
  readonly target: string
  /** All of it, as latin1. */
  readonly head: string
  /** What names this request alone: the value of `X-Token`, empty without one. */
  readonly token: string
}

/** One way to respond. */
export interface HostileResponse {
  readonly name: string
  /** True if what it sends may come when the connection has the next request: no proxy can tell, and it harms its own project only. */
  readonly late?: true
  /** Writes it; the connection is left to itself then, unless the response ends it. */
  readonly write: (socket: Socket, context: ResponseContext) => void
}

/** What such a response is made of. */
export interface ResponseContext {
  readonly request: SeenRequest
  /** Stands in everything that this root says, so that it is known wherever it arrives. */
  readonly mark: string
  /** Field lines that each head begins with: whose response it is, and the stamp, where this is the machine proxy's place. */
  readonly fields: string
  /** A response that nobody asked for; whoever gets it has been crossed. */
  readonly second: string
}

/** What no response to any request may ever show: it stands in second responses only, before the token of the request they follow. */
export const SMUGGLED = "SMUGGLED"

/** The field in which each response says whose it is. */
const SAID_TO = "X-Said-To"

const head = (status: string, { fields }: ResponseContext, ...lines: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields}${lines.map((line) => `${line}\r\n`).join("")}\r\n`

const bodyOf = ({ mark, request }: ResponseContext): string => `${mark} ${request.token}`

const sized = (status: string, context: ResponseContext, ...lines: readonly string[]): string => {
  const body = bodyOf(context)
  return head(status, context, `Content-Length: ${body.length}`, ...lines) + body
}

const hostile = (
  name: string,
  write: HostileResponse["write"],
  more: { readonly late?: true } = {},
): HostileResponse => ({
  name,
  write,
  ...more,
})

/** Writes without end, at the reader's pace, until nobody reads; at most `limit` bytes, so that a test of it ends. */
const pourInto = (socket: Socket, piece: string, limit = 512 * 1_024): void => {
  let written = 0
  const more = (): void => {
    while (!socket.destroyed && written < limit) {
      written += piece.length
      if (!socket.write(piece, "latin1")) {
        socket.once("drain", more)
        return
      }
    }
    socket.end()
  }
  more()
}

const MANY_FIELDS = Array.from({ length: 2_000 }, (_, i) => `X-${i}: ${i}`)

/** Every kind, by what it does. All of them name the request's own token where they have a body. */
export const hostileResponses: readonly HostileResponse[] = [
  hostile("a response and a second one that nobody asked for", (socket, context) => {
    socket.write(sized("200 OK", context) + context.second, "latin1")
  }),
  hostile(
    "a second response a moment later, on the idle connection",
    (socket, context) => {
      socket.write(sized("200 OK", context), "latin1")
      setTimeout(() => socket.destroyed || socket.write(context.second, "latin1"), 5)
    },
    { late: true },
  ),
  hostile("two different lengths", (socket, context) => {
    const body = bodyOf(context)
    const lines = [`Content-Length: ${body.length}`, `Content-Length: ${body.length + context.second.length}`]
    socket.write(head("200 OK", context, ...lines) + body + context.second, "latin1")
  }),
  hostile("a length and chunks", (socket, context) => {
    const body = bodyOf(context)
    const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
    socket.write(head("200 OK", context, "Content-Length: 4", "Transfer-Encoding: chunked") + chunks, "latin1")
    socket.write(context.second, "latin1")
  }),
  hostile("a length longer than the body, then the end", (socket, context) => {
    socket.end(head("200 OK", context, "Content-Length: 100000") + bodyOf(context), "latin1")
  }),
  hostile("a length shorter than the body", (socket, context) => {
    socket.write(head("200 OK", context, "Content-Length: 1") + bodyOf(context) + context.second, "latin1")
  }),
  hostile("a length that is no number", (socket, context) => {
    socket.write(head("200 OK", context, "Content-Length: +5") + bodyOf(context), "latin1")
  }),
  hostile("a coding that is not exactly chunked", (socket, context) => {
    socket.write(head("200 OK", context, "Transfer-Encoding: xchunked") + `5\r\nabcde\r\n0\r\n\r\n`, "latin1")
  }),
  hostile("chunks that break off", (socket, context) => {
    socket.end(head("200 OK", context, "Transfer-Encoding: chunked") + `64\r\n${bodyOf(context)}`, "latin1")
  }),
  hostile("chunk extensions without end", (socket, context) => {
    socket.write(head("200 OK", context, "Transfer-Encoding: chunked") + "1;a=", "latin1")
    pourInto(socket, "b".repeat(16_384))
  }),
  hostile("trailers that name the framing, the hop and a second response", (socket, context) => {
    const trailers = ["Content-Length: 5", "x-iterate-proxy-stamp: 1", "Set-Cookie: a=b", "Host: evil"]
    const body = bodyOf(context)
    const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers.join("\r\n")}\r\n\r\n`
    socket.write(head("200 OK", context, "Transfer-Encoding: chunked") + chunks + context.second, "latin1")
  }),
  hostile("a head without end", (socket, context) => {
    socket.write(`HTTP/1.1 200 OK\r\n${context.fields}`, "latin1")
    pourInto(socket, `X-More: ${"x".repeat(4_096)}\r\n`)
  }),
  hostile("two thousand fields", (socket, context) => {
    socket.write(head("200 OK", context, ...MANY_FIELDS), "latin1")
  }),
  hostile("interim responses without end", (socket, context) => {
    pourInto(socket, head("103 Early Hints", context, "Link: </a>; rel=preload"), 32 * 1_024)
  }),
  hostile("a 101 that nobody asked for, and then a response", (socket, context) => {
    const lines = ["Connection: Upgrade", "Upgrade: websocket"]
    socket.write(head("101 Switching Protocols", context, ...lines) + context.second, "latin1")
  }),
  hostile("the end, without a word", (socket) => {
    socket.end()
  }),
  hostile("a reset, without a word", (socket) => {
    socket.resetAndDestroy()
  }),
  hostile("half of a status line, then the end", (socket) => {
    socket.end("HTTP/1.1 20", "latin1")
  }),
  hostile("421: another machine, forever", (socket, context) => {
    socket.write(sized("421 Misdirected Request", context, "x-iterate-proxy-error: MACHINE_MISMATCH"), "latin1")
  }),
  hostile("401: the ticket is refused, forever", (socket, context) => {
    socket.write(sized("401 Unauthorized", context, "x-iterate-proxy-error: TICKET_INVALID"), "latin1")
  }),
  hostile("a failure in our own name", (socket, context) => {
    const lines = ["x-iterate-proxy-error: ROUTE_NOT_FOUND", "x-iterate-proxy-request-id: forged"]
    socket.write(sized("404 Not Found", context, ...lines, "Proxy-Status: ingress-router; error=x"), "latin1")
  }),
  hostile("fields of ours: forged stamps, targets and tickets", (socket, context) => {
    const ours = [
      "stamp: 1",
      "stamp: 2",
      "target-host: 1__other",
      "ticket: x",
      "fwd-host: x",
      "via: x",
      "public-origin: x",
    ]
    socket.write(sized("200 OK", context, ...ours.map((field) => `x-iterate-proxy-${field}`)), "latin1")
  }),
  hostile("cookies of the whole domain, and of the platform", (socket, context) => {
    const cookies = ["a=1; Domain=iterate.app", "b=2; Domain=.iterate.app", "__Host-platform=evil; Path=/; Secure"]
    socket.write(sized("200 OK", context, ...cookies.map((cookie) => `Set-Cookie: ${cookie}`)), "latin1")
  }),
  hostile("what commands a front server", (socket, context) => {
    const fields = [
      "X-Accel-Redirect: /etc/passwd",
      "X-Sendfile: /etc/passwd",
      "X-LiteSpeed-Location: /x",
      "Surrogate-Control: max-age=9",
    ]
    socket.write(sized("200 OK", context, ...fields, "Connection: close, x-token, x-iterate-proxy-stamp"), "latin1")
  }),
  hostile("control characters in fields", (socket, context) => {
    socket.write(head("200 OK", context, "X-A: a\rX-B: b", "X-C: \0c", "Content-Length: 0"), "latin1")
  }),
  hostile("bare line feeds", (socket, context) => {
    socket.write(`HTTP/1.1 200 OK\n${context.fields.replaceAll("\r", "")}Content-Length: 2\n\nok`, "latin1")
  }),
  hostile("a status that does not exist", (socket, context) => {
    socket.write(sized("099 Nothing\u0007", context), "latin1")
  }),
  hostile("another protocol", (socket) => {
    socket.write("SSH-2.0-OpenSSH_9.9\r\n\0\0\0\u0001", "latin1")
  }),
  hostile("one byte at a time", (socket, context) => {
    const text = sized("200 OK", context)
    let at = 0
    const next = (): void => {
      if (socket.destroyed || at >= text.length) return
      socket.write(text[at++]!, "latin1")
      setImmediate(next)
    }
    next()
  }),
  hostile("a plain response, for once", (socket, context) => {
    socket.write(sized("200 OK", context), "latin1")
  }),
]

/** The response whose number the request's `X-Hostile` has. */
export const chosenResponse = ({ head }: SeenRequest): HostileResponse =>
  hostileResponses[Number(/^x-hostile: *(\d+)/im.exec(head)?.[1] ?? 0) % hostileResponses.length]!

/** How a hostile root behaves. */
export interface HostileRoot {
  /** Names it in everything that it says. */
  readonly mark: string
  /** The stamp of its responses: as root it has whatever its own machine proxy has. Absent for an app behind the proxy. */
  readonly stamp?: (request: SeenRequest) => string | Promise<string>
  readonly choose: (request: SeenRequest) => HostileResponse
  /** Called with each request's head. */
  readonly onRequest?: (request: SeenRequest) => void
}

/** Handles a connection as hostilely as `root` says. Requests are read one after another; bodies by their length or chunks, roughly. */
export const serveHostile =
  (root: HostileRoot) =>
  (socket: Socket): void => {
    let unread = ""
    let body = 0
    let queue = Promise.resolve()
    const respond = async (request: SeenRequest): Promise<void> => {
      const stamp = await root.stamp?.(request)
      const proof = stamp === undefined ? "" : `x-iterate-proxy-stamp: ${stamp}\r\n`
      const fields = `${SAID_TO}: ${request.token}\r\n${proof}`
      const evil = `${SMUGGLED} ${root.mark} ${request.token}`
      const second = `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${evil.length}\r\n\r\n${evil}`
      if (!socket.destroyed) root.choose(request).write(socket, { request, mark: root.mark, fields, second })
    }
    socket.setEncoding("latin1")
    socket.on("error", () => undefined)
    // What still comes after our end is not read, as by a program that does not care.
    socket.on("end", () => socket.end())
    socket.on("data", (data: string) => {
      unread += data
      for (;;) {
        const skipped = Math.min(body, unread.length)
        body -= skipped
        unread = unread.slice(skipped)
        const end = unread.indexOf("\r\n\r\n")
        if (body > 0 || end < 0) return
        const request = seen(unread.slice(0, end + 4))
        unread = unread.slice(end + 4)
        body = Number(/^content-length: *(\d+)/im.exec(request.head)?.[1] ?? 0)
        if (/^transfer-encoding:/im.test(request.head)) unread = ""
        root.onRequest?.(request)
        queue = queue.then(() => respond(request))
      }
    })
  }

const seen = (head: string): SeenRequest => {
  const [method = "", target = ""] = head.split(" ", 2)
  return { method, target, head, token: /^x-token: *(\S+)/im.exec(head)?.[1] ?? "" }
}
