import type { GeneratedResponse, TicketScope, VerifiedTicket } from "@project-ingress/forward"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import type { MachineProxyErrorTag } from "./error-rows.ts"
import { isSessionId } from "./open-sessions.ts"
import type { OpenSessions } from "./open-sessions.ts"
import type { PortWatch } from "./port-watch.ts"

/** The path of port discovery: `GET`, with a ticket of scope `inspect`. */
export const portsPath = "/__ingress/ports"
/** The path by which sessions are ended: `POST`, with a ticket of scope `control`. */
export const endSessionsPath = "/__ingress/end-sessions"

/** Longest wait for another list of ports, in ms. */
const MAX_WAIT_MS = 30_000
/** A request to end sessions holds at most so many bytes, and names at most so many. */
const MAX_BODY = 262_144
const MAX_SESSIONS = 1_000

/** What a request to a path of the machine proxy's own asks for. */
export interface ControlRequest {
  readonly scope: TicketScope
  readonly query: URLSearchParams
}

/** What a request asks for that has no target: `undefined` for any other path or method. No path of an app is hidden, as of the health check. */
export const controlRequest = ({ head: { method, target } }: IncomingRequest): ControlRequest | undefined => {
  const at = target.indexOf("?")
  const path = at === -1 ? target : target.slice(0, at)
  const scope =
    method === "GET" && path === portsPath
      ? "inspect"
      : method === "POST" && path === endSessionsPath
        ? "control"
        : undefined
  return scope && { scope, query: new URLSearchParams(at === -1 ? "" : target.slice(at + 1)) }
}

/** What the paths are served by. */
export interface ControlSettings {
  readonly ports: PortWatch
  readonly sessions: OpenSessions
  readonly failure: (tag: MachineProxyErrorTag, request: IncomingRequest, stamp: string) => GeneratedResponse
  readonly stampField: string
}

/** Serves a control request whose ticket is valid: `stamps` are what prove the response. */
export const controlResponder =
  ({ ports, sessions, failure, stampField }: ControlSettings) =>
  async (
    request: IncomingRequest,
    { scope, query }: ControlRequest,
    ticket: VerifiedTicket,
    stamps: { readonly response: string; readonly refusal: string },
  ): Promise<GeneratedResponse> => {
    if (ticket.scope !== scope) return failure("TicketWrongTarget", request, stamps.refusal)
    try {
      if (scope === "inspect") {
        const list = await ports.list({
          waitMs: waitOf(query.get("wait")),
          since: query.get("since") ?? undefined,
          onLeft: (listener) => request.onAbort(listener),
        })
        // Not the proxy itself.
        const listed = list.ports.filter(({ port }) => port !== request.localPort)
        return json({ ports: listed, version: list.version }, stampField, stamps.response)
      }
      const named = sessionsIn(await bodyOf(request))
      return named === undefined
        ? failure("ControlInvalid", request, stamps.refusal)
        : json({ ended: sessions.end(named) }, stampField, stamps.response)
    } catch {
      return failure("ProxyFailed", request, stamps.refusal)
    }
  }

const json = (value: unknown, stampField: string, stamp: string): GeneratedResponse => ({
  status: 200,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store", stampField, stamp],
  body: `${JSON.stringify(value)}\n`,
})

const waitOf = (text: string | null): number =>
  text === null || !/^\d{1,9}$/.test(text) ? 0 : Math.min(Number(text), MAX_WAIT_MS)

/** The body as text; `undefined` for one that is too long. */
const bodyOf = async (request: IncomingRequest): Promise<string | undefined> => {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body() ?? []) {
    length += chunk.length
    if (length > MAX_BODY) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const sessionsIn = (text: string | undefined): readonly string[] | "all" | undefined => {
  try {
    const { sessions } = (JSON.parse(text ?? "") ?? {}) as { readonly sessions?: unknown }
    if (sessions === "all") return "all"
    return Array.isArray(sessions) && sessions.length <= MAX_SESSIONS && sessions.every(isSessionId)
      ? sessions
      : undefined
  } catch {
    return undefined
  }
}
