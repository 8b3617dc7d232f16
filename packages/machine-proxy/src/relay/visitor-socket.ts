import { duplexPair } from "node:stream"
import type { IncomingMessage } from "node:http"
import { requestReader, responseHeadText } from "@project-ingress/forward/http1"
import type { RequestHead } from "@project-ingress/forward/http1"
import { defaultLimits } from "@project-ingress/forward/sockets"
import { WebSocket } from "ws"
import type { ClientOptions } from "ws"
import type { MachineProxy } from "../machine-proxy.ts"
import type { StreamDuplex } from "./stream-duplex.ts"

/** What a visitor's WebSocket needs of the connection to the relay. */
export interface SocketDialler {
  readonly proxy: Pick<MachineProxy, "connection">
  /** Opens the WebSocket that the relay joins to the visitor's; rejects when there is none to open any more. */
  readonly dial: () => Promise<WebSocket>
}

/** A message of Workers is no larger, in bytes. */
const MAX_MESSAGE = 33_554_432

/**
 * Takes the handshake of a visitor's WebSocket from a stream, makes it with the proxy, and says there how that went: with the head of
 * the response. After a 101 it dials a WebSocket of its own to the relay and passes messages between the two, so that neither side
 * is read faster than the other reads. Gives what is open, to be closed when another process takes the machine's place.
 */
export const takeVisitorSocket = (stream: StreamDuplex, dialler: SocketDialler, opened: OpenSockets): void => {
  const reader = requestReader(defaultLimits)
  stream.on("data", (bytes: Buffer) => {
    reader.push(bytes)
    const head = reader.read()
    if (head === undefined) return
    stream.removeAllListeners("data")
    stream.resume()
    if (head.type === "head" && head.upgrade) connectApp(stream, head, dialler, opened)
    else stream.destroy(new Error("this is not a handshake"))
  })
}

/** The WebSockets that lead from visitors to apps. */
export type OpenSockets = Set<WebSocket>

const connectApp = (stream: StreamDuplex, head: RequestHead, dialler: SocketDialler, opened: OpenSockets): void => {
  let app: WebSocket
  try {
    app = appSocket(head, dialler.proxy)
  } catch {
    // Its subprotocols are not what RFC 6455 §4.1 allows.
    stream.end(responseHeadText(400, "Bad Request", [], 0, true))
    return
  }
  let response: IncomingMessage | undefined
  app.on("error", () => stream.destroy(new Error("the handshake failed")))
  stream.once("close", () => {
    if (app.readyState === WebSocket.CONNECTING) app.terminate()
  })
  app.once("unexpected-response", (_, refusal: IncomingMessage) => {
    stream.write(headOf(refusal, "until-close"))
    refusal.on("error", () => stream.destroy())
    refusal.pipe(stream)
  })
  app.once("upgrade", (switched: IncomingMessage) => {
    response = switched
  })
  app.once("open", () => {
    // Nothing of the app's may be lost before there is somebody to take it.
    app.pause()
    stream.write(headOf(response!, "none"))
    dialler.dial().then(
      (visitor) => join(app, visitor, opened),
      () => {
        app.terminate()
        stream.destroy(new Error("the relay took no WebSocket"))
      },
    )
  })
}

/** Fields that the client writes itself. */
const OWN: ReadonlySet<string> = new Set([
  "connection",
  "upgrade",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
])

/** A handshake with the proxy, over no network. */
const appSocket = ({ headers: list, target }: RequestHead, proxy: SocketDialler["proxy"]): WebSocket => {
  const headers: Record<string, string[]> = {}
  let protocols: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!.toLowerCase()
    const value = list[i + 1]!
    if (name === "sec-websocket-protocol") protocols = [...protocols, ...value.split(",").map((each) => each.trim())]
    else if (!OWN.has(name)) (headers[name] ??= []).push(value)
  }
  const [near, far] = duplexPair()
  const options: ClientOptions = {
    headers: headers as unknown as Record<string, string>,
    createConnection: (() => {
      proxy.connection(far)
      return near
    }) as unknown as NonNullable<ClientOptions["createConnection"]>,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE,
  }
  return new WebSocket(new URL(`ws://relay.invalid${target}`), protocols, options)
}

const headOf = ({ statusCode, statusMessage, rawHeaders }: IncomingMessage, framing: "until-close" | "none"): Buffer =>
  Buffer.from(responseHeadText(statusCode!, statusMessage ?? "", rawHeaders, framing, false), "latin1")

/** Above so many bytes that wait to be sent on, their source is not read, in bytes. */
const HIGH_WATER = 262_144

/** Passes messages and the end of either side on to the other one. */
const join = (app: WebSocket, visitor: WebSocket, opened: OpenSockets): void => {
  opened.add(app)
  const pass = (from: WebSocket, to: WebSocket): void => {
    from.on("message", (data: Buffer, binary) => {
      to.send(data, { binary }, () => {
        if (from.isPaused && to.bufferedAmount <= HIGH_WATER) from.resume()
      })
      if (to.bufferedAmount > HIGH_WATER) from.pause()
    })
    from.on("error", () => {})
    from.once("close", (code, reason) => {
      opened.delete(app)
      if (canBeSent(code)) to.close(code, reason)
      else if (code === NO_STATUS) to.close()
      else to.terminate()
    })
  }
  pass(app, visitor)
  pass(visitor, app)
  app.resume()
  visitor.resume()
}

/** No status was in the close frame (RFC 6455 §7.1.5). */
const NO_STATUS = 1005

/** Whether a close frame may have this status (RFC 6455 §7.4). */
const canBeSent = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== NO_STATUS && code !== 1006) ||
  (code >= 3000 && code <= 4999)
