/** A client of HTTP/2: many requests for many hosts at once on each connection, as RFC 9113 §9.1.1 lets a client do. */
import { connect, constants } from "node:http2"
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2"
import { KEPT_BYTES, LEAVES_MS } from "./client.ts"
import type { Client, ClientRequest, ClientWebSocket } from "./client.ts"
import type { Said } from "./judge.ts"

const { NGHTTP2_CANCEL } = constants

/** Sends to a port of this computer, whose certificate is for `*.<domain>`, over so many connections at a time. */
export const http2Client = (port: number, domain: string, connections: number): Client => {
  const sessions: (ClientHttp2Session | undefined)[] = Array.from({ length: connections })
  let turn = 0
  const open = (at: number): ClientHttp2Session => {
    const session = connect(`https://127.0.0.1:${port}`, {
      servername: `any.${domain}`,
      rejectUnauthorized: false,
      // In MB: hostile responses are large, and all of them are on these connections.
      maxSessionMemory: 500,
    })
    session.on("error", () => undefined)
    // A router ends a connection whose streams were reset too often; the client opens another one.
    const over = (): void => {
      if (sessions[at] === session) sessions[at] = undefined
    }
    session.on("goaway", over)
    session.on("close", over)
    return (sessions[at] = session)
  }
  /** A stream on the connection whose turn it is; `undefined` if that is going down at this moment. */
  const stream = (fields: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream | undefined => {
    const at = turn++ % connections
    const session = sessions[at]
    try {
      return (session === undefined || session.closed ? open(at) : session).request(fields, { endStream })
    } catch {
      return undefined
    }
  }
  return {
    send: ({ host, method, path, headers, body, chunked = false, leaves }) =>
      new Promise((resolve) => {
        const length = body === undefined || chunked ? undefined : leaves === "upload" ? body.length * 2 : body.length
        const fields = {
          ":method": method,
          ":authority": host,
          ":path": path,
          ...headers,
          ...(length === undefined ? {} : { "content-length": length }),
        }
        const sent = stream(fields, body === undefined)
        if (sent === undefined) return resolve(undefined)
        void read(sent, leaves).then(resolve)
        if (leaves !== "upload") return body === undefined ? undefined : sent.end(body)
        return sent.write(body, () => setTimeout(() => sent.close(NGHTTP2_CANCEL), LEAVES_MS))
      }),
    webSocket: ({ host, headers }) =>
      new Promise((resolve) => {
        const fields = {
          ":method": "CONNECT",
          ":protocol": "websocket",
          ":scheme": "https",
          ":authority": host,
          ":path": "/",
          "sec-websocket-version": "13",
          ...headers,
        }
        const sent = stream(fields, false)
        if (sent === undefined) return resolve(undefined)
        // RFC 8441 §5: a success is any 2xx.
        sent.once("response", (response) => {
          if (response[":status"] !== 200) return
          sent.removeAllListeners("data")
          resolve({ opened: framed(sent) })
        })
        void read(sent).then((said) => resolve(said === undefined ? undefined : { refused: said }))
      }),
    dispose: () => {
      for (const session of sessions) session?.destroy()
    },
  }
}

const read = (stream: ClientHttp2Stream, leaves?: ClientRequest["leaves"]): Promise<Said | undefined> =>
  new Promise((resolve) => {
    let head: string | undefined
    let code: string | undefined
    let body = ""
    let ended = false
    const done = (whole: boolean): void => resolve(head === undefined ? undefined : { code, text: head + body, whole })
    const leave = (): void => {
      // Node tells of bytes that came together with their head before it tells of that.
      if (leaves !== "download" || head === undefined || body === "") return
      done(true)
      stream.close(NGHTTP2_CANCEL)
    }
    stream.once("response", (headers: IncomingHttpHeaders, _: number, raw: readonly string[]) => {
      head = `${raw.join("\n")}\n\n`
      code = headers["x-iterate-proxy-error"] as string | undefined
      leave()
    })
    stream.on("data", (data: Buffer) => {
      if (body.length < KEPT_BYTES) body += data.toString("latin1")
      leave()
    })
    stream.once("end", () => (ended = true))
    stream.on("error", () => undefined)
    stream.once("close", () => done(leaves === "download" || (ended && stream.rstCode === 0)))
  })

const TEXT = 0x81
const MASKED = 0x80

/** Messages of at most 125 bytes in one frame each (RFC 6455 §5.2), which is all that a soak says. The mask is zero. */
const framed = (stream: ClientHttp2Stream): ClientWebSocket => {
  let unread = Buffer.alloc(0)
  const socket: ClientWebSocket = {
    send: (text) => {
      if (!stream.destroyed)
        stream.write(Buffer.concat([Buffer.of(TEXT, MASKED | text.length, 0, 0, 0, 0), Buffer.from(text)]))
    },
    onMessage: () => undefined,
    close: () => stream.close(NGHTTP2_CANCEL),
  }
  stream.on("data", (data: Buffer) => {
    unread = Buffer.concat([unread, data])
    while (unread.length >= 2 && unread.length >= 2 + unread[1]!) {
      const end = 2 + unread[1]!
      // Anything but a short text is shown as it is, and is no message that was expected.
      socket.onMessage(unread.toString("latin1", unread[0] === TEXT ? 2 : 0, end))
      unread = unread.subarray(end)
    }
  })
  stream.once("close", () => socket.onMessage(undefined))
  return socket
}
