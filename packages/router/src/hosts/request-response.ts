import { requestHeaders, responseHeaders } from "@project-ingress/forward"
import type { GeneratedResponse, HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import { appValue, clientFields, connectionFields } from "@project-ingress/forward/internal"
import { bodyOf } from "@project-ingress/providers/internal"
import { pseudonym } from "../hop/loop.ts"
import type { ClientIdentity } from "./client-identity.ts"
import type { MachineResponse } from "../program/send-to-machine.ts"

/** Fields as a list; every `Set-Cookie` is a line of its own, because they cannot be joined (RFC 6265 §3). */
export const listFrom = (headers: Headers): string[] => {
  const list: string[] = []
  headers.forEach((value, name) => {
    if (name !== "set-cookie") list.push(name, value)
  })
  for (const cookie of headers.getSetCookie()) list.push("set-cookie", cookie)
  return list
}

/** A list as `Headers`, line by line. */
export const headersFrom = (list: HeaderList): Headers => {
  const headers = new Headers()
  for (let i = 0; i < list.length; i += 2) headers.append(list[i]!, list[i + 1]!)
  return headers
}

/** The fields of a machine's response for its visitor; `uncached`: for a router of another region. Throws what a policy's edit throws. */
export const visitorFields = (
  machine: MachineResponse<Response>,
  headerNames: HopHeaderNames,
  uncached = false,
): HeaderList => {
  const { response, status, stamped, byRouter = false, edgeCookies, changes } = machine
  const value = (lowerName: string) => response.headers.get(lowerName) ?? undefined
  const header = (lowerName: string) => appValue(value, lowerName, stamped ? headerNames : undefined)
  const edit = changes.edit && ((fields: HeaderList) => changes.edit!({ status, header }, fields))
  const hop = { headerNames, stamped, byRouter, uncached, edgeCookies, rewrite: changes.rewrite, edit, add: [] }
  return responseHeaders(listFrom(response.headers), hop, { status, chunked: false })
}

/** By its shape: a response of another realm is one, too. */
export const isResponse = (value: unknown): value is Response =>
  typeof value === "object" && value !== null && "status" in value && "headers" in value

/** RFC 9110 §15: responses that have no body, and for which `new Response` refuses one. */
export const bodiless: ReadonlySet<number> = new Set([204, 205, 304])

/** The machine's response for the visitor. */
export const visitorResponse = (
  machine: MachineResponse<Response>,
  headerNames: HopHeaderNames,
  uncached: boolean,
): Response => {
  const { response, status } = machine
  const headers = headersFrom(visitorFields(machine, headerNames, uncached))
  const { statusText, webSocket = null } = response as Response & { readonly webSocket?: unknown }
  if (status === 101) {
    // A Worker's 101 is nothing without its socket, and its runtime writes the fields of the connection.
    for (const name of ["connection", "upgrade"]) headers.delete(name)
    return new Response(null, { status, statusText, headers, webSocket } as ResponseInit)
  }
  return new Response(bodiless.has(status) ? null : bodyOf(response), { status, statusText, headers })
}

/**
 * A request of the engine for a fetch handler of the caller's, by the rules of every request that is passed on: without what a
 * client claims to be, and with who asked. `undefined` when its host cannot stand in a URL (`1.2.3.999`), when Fetch refuses its
 * method (CONNECT, TRACE), or without a host, which HTTP/1.0 allows: a URL would take the first segment of the path for it.
 */
export const requestFrom = (
  request: IncomingRequest,
  identity: ClientIdentity,
  options: { readonly headerNames: HopHeaderNames; readonly body: boolean },
): Request | undefined => {
  const { head } = request
  const { host, scheme } = identity
  if (host === "") return undefined
  const path = head.target.startsWith("/") ? head.target : "/"
  const body = !options.body || head.method === "GET" || head.method === "HEAD" ? null : lazily(request)
  try {
    const fields = requestHeaders(head.headers, {
      headerNames: options.headerNames,
      pseudonym,
      trusted: false,
      // RFC 9112 §3.2.2: the authority of an absolute-form replaces the Host that came with it.
      host,
      add: clientFields(identity, "all"),
    })
    return new Request(`${scheme}://${host}${path}`, {
      method: head.method,
      headers: headersFrom(withoutFraming(fields)),
      body,
      signal: request.signal,
      // A streamed body needs it (Fetch §5.3); not in every library's types.
      ...(body === null ? {} : { duplex: "half" }),
    })
  } catch {
    return undefined
  }
}

/** The body, taken when somebody reads: one that nobody wants is the engine's to skip, and spares the connection. */
const lazily = (request: IncomingRequest): ReadableStream<Uint8Array> | null => {
  if (request.head.framing === 0) return null
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      pull: async (body) => {
        reader ??= request.body()!.getReader()
        const { done, value } = await reader.read()
        if (done) body.close()
        else body.enqueue(value)
      },
      cancel: (reason) => reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

/** A fetch handler's response for the engine, which frames it itself. */
export const responseOf = (response: Response): GeneratedResponse => {
  return { status: response.status, headers: withoutFraming(listFrom(response.headers)), body: bodyOf(response) }
}

const withoutFraming = (list: HeaderList): HeaderList => {
  const out: string[] = []
  for (let i = 0; i < list.length; i += 2) if (!framing.has(list[i]!.toLowerCase())) out.push(list[i]!, list[i + 1]!)
  return out
}

/** This connection's own affair (RFC 9110 §7.6.1, RFC 9112 §6). */
const framing = new Set([...connectionFields, "content-length", "expect"])
