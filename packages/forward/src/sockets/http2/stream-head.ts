import { randomBytes } from "node:crypto"
import type { RequestMessageHead } from "../contract/message.ts"

/** Of one connection of HTTP/1.1; a request of HTTP/2 with one of them is malformed (RFC 9113 §8.2.2). */
const ofConnection = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"])

/** A request of HTTP/2 as the engine takes it. */
export interface StreamHead extends RequestMessageHead {
  /** Of a WebSocket: its `Sec-WebSocket-Key` on the way on. */
  readonly webSocketKey?: string
}

/**
 * Makes a head of the fields of a stream, alternately names and values. `scheme`: the one of the connection. `ended`: the stream is,
 * too.
 */
export const streamHead = (fields: readonly string[], scheme: string, ended: boolean): StreamHead => {
  const pseudo: Record<string, string | undefined> = { __proto__: null as never }
  const headers: string[] = []
  let cookie: string | undefined
  let host: string | undefined
  let problem: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (name.charCodeAt(0) === 58) {
      if (pseudo[name] !== undefined) problem ??= `${name} comes twice`
      pseudo[name] = value
      continue
    }
    switch (name.length) {
      case 2:
        // RFC 9113 §8.2.2: of TE only trailers has a meaning.
        if (name === "te" && value.toLowerCase() !== "trailers") problem ??= "TE is not trailers"
        break
      case 4:
        if (name === "host") host ??= value
        break
      case 6:
        if (name !== "cookie") break
        // RFC 9113 §8.2.3: in pieces only between two hops of HTTP/2.
        cookie = cookie === undefined ? value : `${cookie}; ${value}`
        continue
      default:
        if (ofConnection.has(name)) problem ??= `${name} has no place in HTTP/2`
    }
    headers.push(name, value)
  }
  if (cookie !== undefined) headers.push("cookie", cookie)

  const { ":method": method = "", ":path": path, ":protocol": protocol } = pseudo
  // RFC 9113 §8.3.1: a request that was made of one of HTTP/1.1 may have only Host.
  const authority = pseudo[":authority"] ?? host
  const head = { method, authority, headers, ended, problem }
  if (method === "CONNECT" && protocol === undefined) return { ...head, target: "/", failure: "MethodRefused" }
  if (pseudo[":scheme"] !== scheme) head.problem ??= ":scheme is not that of the connection"
  // The parser would take an absolute-form, and its authority.
  if (path === undefined || (path.charCodeAt(0) !== 47 && path !== "*")) head.problem ??= ":path has no known form"
  if (authority === undefined) head.problem ??= "there is no authority"
  const target = path ?? "/"
  if (protocol === undefined) return { ...head, target }
  if (method !== "CONNECT") return { ...head, target, problem: ":protocol without CONNECT" }
  // RFC 9220 §3: 501 for a protocol that is not known.
  if (protocol !== "websocket") return { ...head, target, method: "GET", ended: true, failure: "MethodUnknown" }
  // RFC 8441 §5: the handshake of HTTP/1.1, without what only that needs.
  const webSocketKey = randomBytes(16).toString("base64")
  const upgrade = ["Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", webSocketKey]
  const kept = headers.flatMap((name, i) =>
    i % 2 === 0 && name !== "sec-websocket-key" ? [name, headers[i + 1]!] : [],
  )
  return { ...head, target, method: "GET", ended: true, headers: [...upgrade, ...kept], webSocketKey }
}
