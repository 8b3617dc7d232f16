import { randomBytes } from "node:crypto"
import { request as requestHttp } from "node:http"
import type { IncomingMessage, RequestOptions } from "node:http"
import { request as requestHttps } from "node:https"
import { isIP } from "node:net"
import type { Duplex } from "node:stream"
import type { ConnectionOptions } from "node:tls"
import type { Tunnel } from "../../tunnel/tunnel-protocol.ts"
import { accept, checkOptions } from "../../options.ts"
import { tunnelProtocols } from "../../tunnel/tunnel-protocol.ts"
import { DatagramTunnel } from "./datagram-tunnel.ts"
import type { DatagramEvents } from "./datagram-tunnel.ts"
import { handshakeProblem } from "./handshake-problem.ts"
import { TunnelRefused } from "./tunnel-errors.ts"
import { TunnelStream } from "./tunnel-stream.ts"

/** What {@link openTunnel} takes. */
export interface TunnelOptions {
  /** The public URL of the port: `https:` or `wss:`, or for a router without TLS `http:` or `ws:`. */
  readonly url: string | URL
  /** Fields of the handshake: `{ authorization: "Bearer …" }`. */
  readonly headers?: Readonly<Record<string, string>>
  /** An IP address to connect to, whatever DNS says. */
  readonly address?: string
  /** Options for node:tls, as `ca`. */
  readonly tls?: ConnectionOptions
  /** Gives the connection on which the handshake is sent, with TLS if there is to be any. Default: one to the URL. */
  readonly connect?: () => Duplex
  /** Until the response to the handshake, in ms, for which a stopped machine is started. 120 000. */
  readonly timeoutMs?: number
  /** After how long without a byte a ping is sent, in ms, so that no load balancer takes the tunnel for dead; 0: never. 30 000. */
  readonly pingMs?: number
  /** Ends the attempt. */
  readonly signal?: AbortSignal
}

const checks = {
  url: (value: unknown) => (value instanceof URL || typeof value === "string" ? undefined : "a URL"),
  headers: accept.object,
  address: (value: unknown) => (typeof value === "string" && isIP(value) !== 0 ? undefined : "an IP address"),
  tls: accept.object,
  connect: accept.function,
  timeoutMs: accept.number(0),
  pingMs: accept.number(0),
  signal: accept.object,
}

const DEFAULT_TIMEOUT_MS = 120_000
const DEFAULT_PING_MS = 30_000
/** As much of a refusal as is read, in bytes, and for how long, in ms. */
const MAX_REFUSAL = 65_536
const REFUSAL_MS = 5_000

/**
 * Opens a TCP connection to a port whose settings say `protocol: "tcp"`, by a tunnel through the router.
 *
 * ```ts
 * const database = await openTunnel({ url: "https://5432__misha.iterate.app", headers: { authorization: `Bearer ${token}` } })
 * ```
 *
 * Rejects with `TunnelRefused` if the response was another one than a tunnel, else with the error of the connection.
 *
 * @throws {TypeError} (a rejection) for an option that is unknown, missing or invalid
 */
export const openTunnel = async (options: TunnelOptions): Promise<Duplex> => {
  const { socket, early } = await handshake("openTunnel", "tcp", options)
  return new TunnelStream(socket, early, options.pingMs ?? DEFAULT_PING_MS)
}

/** The same for datagrams, to a port whose settings say `protocol: "udp"`. */
export const openDatagramTunnel = async (options: TunnelOptions, events: DatagramEvents): Promise<DatagramTunnel> => {
  const { socket, early } = await handshake("openDatagramTunnel", "udp", options)
  return new DatagramTunnel(socket, early, options.pingMs ?? DEFAULT_PING_MS, events)
}

interface Opened {
  readonly socket: Duplex
  /** What came after the response. */
  readonly early: Uint8Array
}

const handshake = (owner: string, kind: Tunnel, options: TunnelOptions): Promise<Opened> => {
  checkOptions(owner, options, checks, { required: ["url"] })
  const url = urlOf(owner, options.url)
  const { address, tls, connect, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options
  const key = randomBytes(16).toString("base64")
  const secure = url.protocol === "https:"
  const hostname = url.hostname.replace(/^\[|\]$/g, "")
  const request: RequestOptions = {
    host: address ?? hostname,
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    path: url.pathname + url.search,
    agent: false,
    headers: {
      accept: "application/json",
      ...options.headers,
      host: url.host,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": key,
      "sec-websocket-version": "13",
      "sec-websocket-protocol": tunnelProtocols[kind],
    },
    ...(connect === undefined ? {} : { createConnection: connect }),
    ...(signal === undefined ? {} : { signal }),
  }
  // RFC 6066 §3: an IP address is no server name.
  const name: ConnectionOptions = isIP(hostname) === 0 ? { servername: hostname } : {}
  const secured: ConnectionOptions = { ...name, ...tls, ALPNProtocols: ["http/1.1"] }
  return new Promise((resolve, reject) => {
    const sent = secure ? requestHttps({ ...secured, ...request }) : requestHttp(request)
    const late = timeoutMs === 0 ? undefined : setTimeout(() => sent.destroy(timedOut()), timeoutMs)
    const settled = (): void => clearTimeout(late)
    sent.on("error", (cause) => {
      settled()
      reject(cause)
    })
    sent.on("upgrade", (response, socket, early) => {
      settled()
      const problem = handshakeProblem(response.rawHeaders, { key, protocol: tunnelProtocols[kind] })
      if (problem === undefined) resolve({ socket, early })
      else {
        socket.destroy()
        reject(new TunnelRefused(101, undefined, problem))
      }
    })
    sent.on("response", (response) => {
      settled()
      void refusalOf(response).then((refusal) => {
        sent.destroy()
        reject(refusal)
      })
    })
    sent.end()
  })
}

const urlOf = (owner: string, text: string | URL): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined) url.protocol = url.protocol.replace(/^ws/, "http")
  if (url?.protocol === "https:" || url?.protocol === "http:") return url
  throw new TypeError(`${owner}: url must be an https, wss, http or ws URL`)
}

const timedOut = (): Error =>
  Object.assign(new Error("no response to the handshake of the tunnel in time"), { code: "ETIMEDOUT" })

const refusalOf = async (response: IncomingMessage): Promise<TunnelRefused> => {
  const { statusCode = 0, headers } = response
  const said = errorOf(await bodyOf(response))
  return new TunnelRefused(statusCode, said.code, said.message, headers.location)
}

/** The beginning of a body: an app's own may have no end. */
const bodyOf = (response: IncomingMessage): Promise<string> =>
  new Promise((resolve) => {
    let body = ""
    const end = (): void => {
      clearTimeout(late)
      resolve(body)
    }
    const late = setTimeout(end, REFUSAL_MS)
    response.setEncoding("utf8")
    response.on("data", (text: string) => {
      body += text
      if (body.length > MAX_REFUSAL) end()
    })
    response.on("end", end)
    response.on("error", end)
    response.on("close", end)
  })

const errorOf = (body: string): { readonly code: string | undefined; readonly message: string } => {
  try {
    const { error, message } = JSON.parse(body) as { readonly error?: unknown; readonly message?: unknown }
    if (typeof error === "string" && typeof message === "string") return { code: error, message }
  } catch {
    // Not a response of this project's.
  }
  return { code: undefined, message: "" }
}
