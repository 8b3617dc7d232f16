import * as Effect from "effect/Effect"
import { defaultNames, requestHeaders, ticketMint } from "@project-ingress/forward"
import type { HopNames, TicketKey } from "@project-ingress/forward"
import { forwardConnect, forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import type { HandshakeAnswer } from "@project-ingress/forward/fetch"
import type { Endpoint, Machine, MachineProvider } from "./machine-provider.ts"
import { makeMachines } from "./reach.ts"
import type { MachinesOptions, Sendable } from "./reach.ts"
import { tunnelHeaders } from "./tunnel.ts"

export interface FetcherOptions extends Omit<MachinesOptions, "providers"> {
  /** The port inside the machine, 1 to 65535. 3000. */
  readonly port?: number
  /** Signs the tickets. Without it the machine's proxy must run without keys. */
  readonly signing?: TicketKey
  /** Milliseconds until the answer's head; 0 is for ever. 60 000. */
  readonly headersTimeoutMs?: number
  /** How this hop calls itself in `Via`. `project-ingress`. */
  readonly pseudonym?: string
}

/** The runtime's own WebSocket, open. Binary messages come as `ArrayBuffer`. */
export type MachineSocket = WebSocket

/** One machine as a function. Both ways reject with a `ProviderError`, or with the reason of the request's signal. */
export interface MachineFetcher {
  /** Sends a request. The answer is the app's own, whatever its status. On Workers it may be a WebSocket's 101. */
  (request: Request): Promise<Response>
  /**
   * Opens a WebSocket, by the same rules, on every runtime. Subprotocols stand in the request's `sec-websocket-protocol`;
   * its method and body play no part. Events come from the next turn of the event loop on: attach listeners at once.
   * Rejects with `HandshakeRefused` when the app, or its proxy, answered but would not open one.
   */
  connect(request: Request): Promise<MachineSocket>
}

/** The answer to a WebSocket handshake was no. Not the machine's failure, so no `ProviderError`. */
export class HandshakeRefused extends Error {
  readonly _tag = "HandshakeRefused"
  readonly status: number
  /** The machine proxy's own code, when it was the one that refused: `PORT_CLOSED`. */
  readonly code: string | undefined
  constructor(status: number, code: string | undefined) {
    super(`the WebSocket handshake was answered ${status}${code === undefined ? "" : ` (${code})`}`)
    this.status = status
    this.code = code
  }
  override get name(): string {
    return this._tag
  }
}

/**
 * One machine as a function. The answer is the app's own, untouched, whatever its status; redirects are not followed. The
 * request's URL gives the path, and its hostname is what the app sees; its scheme and port play no part.
 */
export const machineFetcher = (
  provider: MachineProvider,
  machine: Machine,
  options: FetcherOptions = {},
): MachineFetcher => {
  const { port = 3000, signing, headersTimeoutMs = 60_000, pseudonym = "project-ingress" } = options
  const names = options.names ?? defaultNames
  const machines = makeMachines({ ...options, providers: [provider] })
  const mint = signing === undefined ? undefined : ticketMint(signing)

  /** What is sent of a request, to wherever its machine is at that moment. */
  const leaving = (request: Request, upgrade: boolean) => {
    const url = new URL(request.url)
    const inbound = [...request.headers].flat()
    return async (endpoint: Endpoint, ended: AbortSignal) => {
      // Minted when it leaves: the request may have waited for half a ticket's life until its machine was awake.
      const ticket = await mint?.(machine.id)
      const hop = { names, pseudonym, trusted: false, upgrade, add: hopFields(names, port, url.hostname, ticket) }
      const headers = requestHeaders(inbound, hop)
      return {
        origin: endpoint.origin,
        target: url.pathname + url.search,
        headers: tunnelHeaders(headers, provider.capabilities.eatenHeaders, endpoint, names),
        signal: AbortSignal.any([request.signal, ended]),
        upgrade,
        headersTimeoutMs,
      }
    }
  }

  const run = async <A>(sendable: Sendable<A>, signal: AbortSignal): Promise<A> => {
    try {
      return await Effect.runPromise(machines.reach(machine, port, sendable), { signal })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error
    }
  }

  const send = async (request: Request): Promise<Response> => {
    request.signal.throwIfAborted()
    const { body, method } = request
    const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket"
    const outgoing = leaving(request, upgrade)
    const sendable: Sendable<Response> = {
      send: (endpoint) =>
        lifted(async (ended) => {
          const answer = await forwardFetch({ ...(await outgoing(endpoint, ended)), method, body })
          return { status: answer.status, header: (name) => answer.headers.get(name) ?? undefined, answer }
        }),
      peek,
      discard,
      // A body that somebody began to read is gone; a method that is not safe may have had its effect (RFC 9110 §9.2.2).
      replayable: (sent) =>
        sent === "no" ? body === null || !(body.locked || request.bodyUsed) : body === null && safe(method),
    }
    return run(sendable, request.signal)
  }

  const connect = async (request: Request): Promise<MachineSocket> => {
    request.signal.throwIfAborted()
    const outgoing = leaving(request, true)
    const sendable: Sendable<HandshakeAnswer> = {
      send: (endpoint) =>
        lifted(async (ended) => {
          const answer = await forwardConnect(await outgoing(endpoint, ended))
          const { status, headers } = answer
          const header = (name: string): string | undefined => headers?.get(name) ?? undefined
          return { status, header, headHidden: headers === undefined, answer }
        }),
      peek: async ({ response }) => (response === undefined ? undefined : peek(response)),
      discard: ({ socket, response, accept }) => {
        if (socket !== undefined) accept().close()
        else if (response !== undefined) discard(response)
      },
      replayable: () => true,
    }
    const answer = await run(sendable, request.signal)
    if (answer.socket !== undefined) return answer.accept()
    sendable.discard(answer)
    throw new HandshakeRefused(answer.status, answer.headers?.get(names.error) ?? undefined)
  }

  return Object.assign(send, { connect })
}

const lifted = <A>(send: (ended: AbortSignal) => Promise<A>): Effect.Effect<A, SendFailure> =>
  Effect.tryPromise({
    try: send,
    catch: (cause) => (cause instanceof SendFailure ? cause : new SendFailure("other", "maybe", cause)),
  })

const discard = (answer: Response): void => {
  answer.body?.cancel().catch(() => {})
}

/** The most of a platform's answer that is looked at, in bytes. */
const PEEK_BYTES = 4_096
/** How long it may take, in ms. */
const PEEK_MS = 500

/** The beginning of a text that nobody else will read. Its body is cancelled afterwards. */
const peek = async (answer: Response): Promise<string | undefined> => {
  const coding = answer.headers.get("content-encoding") ?? "identity"
  if (answer.body === null || coding !== "identity") return undefined
  const reader = answer.body.getReader()
  const text = new TextDecoder()
  let seen = ""
  let left = PEEK_BYTES
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<{ readonly done: true; readonly value?: undefined }>((resolve) => {
    timer = setTimeout(() => resolve({ done: true }), PEEK_MS)
  })
  while (left > 0) {
    // oxlint-disable-next-line no-await-in-loop -- a stream is read one piece after the other
    const { done, value } = await Promise.race([reader.read(), late])
    if (done) break
    seen += text.decode(value.subarray(0, left), { stream: true })
    left -= value.length
  }
  clearTimeout(timer)
  reader.cancel().catch(() => {})
  reader.releaseLock()
  return seen
}

const safe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"

const hopFields = (names: HopNames, port: number, hostname: string, ticket: string | undefined): string[] => {
  // An address is not a public hostname; the machine's proxy knows its own ports by `localhost`.
  const named = /[a-z]/i.test(hostname) && !hostname.startsWith("[") && hostname !== "localhost"
  const target = named ? `${port}__${hostname}` : `localhost:${port}`
  return [names.targetHost, target, ...(ticket === undefined ? [] : [names.ticket, ticket])]
}
