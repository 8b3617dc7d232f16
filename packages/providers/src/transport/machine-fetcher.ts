import * as Effect from "effect/Effect"
import { defaultHeaderNames, requestHeaders, ticketSigner } from "@project-ingress/forward"
import { validateSigningKey } from "@project-ingress/forward/internal"
import type { HopHeaderNames, SigningKey } from "@project-ingress/forward"
import { forwardConnect, forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import type { HandshakeResponse } from "@project-ingress/forward/fetch"
import { fetchTransport, withoutEdgeCookies } from "./fetch-response.ts"
import type { Endpoint, Machine, MachineProvider } from "../contract/machine-provider.ts"
import { makeMachines } from "../machines/machines.ts"
import type { MachinesOptions } from "../machines/machines.ts"
import type { AttemptRequest } from "../machines/attempt-request.ts"
import { encapsulateHeaders } from "./edge-headers.ts"

export interface FetcherOptions extends Omit<MachinesOptions, "providers"> {
  /** The port inside the machine, 1 to 65535. 3000. */
  readonly port?: number
  /** Signs the tickets. Without it the machine's proxy must run without keys. */
  readonly signingKey?: SigningKey
  /** Milliseconds until the answer's head; 0 is for ever. 60 000. */
  readonly headersTimeoutMs?: number
  /** How this hop calls itself in `Via`. `project-ingress`. */
  readonly pseudonym?: string
  /**
   * Lets work go on after an answer: `waitUntil` of `cloudflare:workers`. Without it a Worker may cut off the start of a
   * machine that its next visitor would have found awake, and word to the platform that a machine is in use.
   */
  readonly waitUntil?: (work: Promise<unknown>) => void
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
 *
 * @throws {TypeError} for a port, a signing key or a provider that is none
 */
export const machineFetcher = (
  provider: MachineProvider,
  machine: Machine,
  options: FetcherOptions = {},
): MachineFetcher => {
  const {
    port = 3000,
    signingKey: signing,
    headersTimeoutMs = 60_000,
    pseudonym = "project-ingress",
    waitUntil,
  } = options
  const names = options.headerNames ?? defaultHeaderNames
  const problem = signing === undefined ? undefined : validateSigningKey(signing)
  if (problem !== undefined) throw new TypeError(`signing: ${problem}`)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TypeError("port must be an integer, 1 to 65535")
  const machines = makeMachines({ ...options, providers: [provider] })
  const mint = signing === undefined ? undefined : ticketSigner(signing)

  /** What is sent of a request, to wherever its machine is at that moment. */
  const leaving = (request: Request, upgrade: boolean) => {
    const url = new URL(request.url)
    const inbound = [...request.headers].flat()
    return async (endpoint: Endpoint, ended: AbortSignal) => {
      // Minted when it leaves: the request may have waited for half a ticket's life until its machine was awake.
      const ticket = await mint?.(machine.id)
      const { edgeCookies, interceptedHeaders } = provider.capabilities
      const hop = {
        headerNames: names,
        pseudonym,
        trusted: false,
        upgrade,
        edgeCookies,
        add: hopFields(names, port, url.hostname, ticket),
      }
      const headers = requestHeaders(inbound, hop)
      return {
        origin: endpoint.origin,
        fetch: endpoint.fetch,
        target: url.pathname + url.search,
        headers: encapsulateHeaders(headers, interceptedHeaders, endpoint, names),
        signal: AbortSignal.any([request.signal, ended]),
        upgrade,
        headersTimeoutMs,
      }
    }
  }

  const run = async <A>(sendable: AttemptRequest<A>, signal: AbortSignal): Promise<A> => {
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
    const sendable: AttemptRequest<Response> = {
      send: (endpoint) =>
        lifted(async (ended) => {
          return fetchTransport.received(await forwardFetch({ ...(await outgoing(endpoint, ended)), method, body }))
        }),
      readPrefix: fetchTransport.readPrefix,
      discard: fetchTransport.discard,
      waitUntil,
      // A body that somebody began to read is gone; a method that is not safe may have had its effect (RFC 9110 §9.2.2).
      replayable: (sent) =>
        sent === "no" ? body === null || !(body.locked || request.bodyUsed) : body === null && safe(method),
    }
    return withoutEdgeCookies(await run(sendable, request.signal), provider.capabilities.edgeCookies)
  }

  const connect = async (request: Request): Promise<MachineSocket> => {
    request.signal.throwIfAborted()
    const outgoing = leaving(request, true)
    const sendable: AttemptRequest<HandshakeResponse> = {
      send: (endpoint) =>
        lifted(async (ended) => {
          const answer = await forwardConnect(await outgoing(endpoint, ended))
          const { status, headers } = answer
          const header = (name: string): string | undefined => headers?.get(name) ?? undefined
          return { status, header, headHidden: headers === undefined, response: answer }
        }),
      readPrefix: async ({ response }) => (response === undefined ? undefined : fetchTransport.readPrefix(response)),
      discard: ({ socket, response, accept }) => {
        if (socket !== undefined) accept().close()
        else if (response !== undefined) fetchTransport.discard(response)
      },
      replayable: () => true,
      closed: ({ socket }) =>
        new Promise((resolve) => {
          if (socket === undefined) resolve(undefined)
          else socket.addEventListener("close", resolve)
        }),
      waitUntil,
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
    catch: SendFailure.from,
  })

const safe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"

const hopFields = (names: HopHeaderNames, port: number, hostname: string, ticket: string | undefined): string[] => {
  // An address is not a public hostname; the machine's proxy knows its own ports by `localhost`.
  const named = /[a-z]/i.test(hostname) && !hostname.startsWith("[") && hostname !== "localhost"
  const target = named ? `${port}__${hostname}` : `localhost:${port}`
  return [names.targetHost, target, ...(ticket === undefined ? [] : [names.ticket, ticket])]
}
