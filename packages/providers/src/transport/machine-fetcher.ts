import * as Effect from "effect/Effect"
import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { forwardConnect, forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import type { HandshakeResponse } from "@project-ingress/forward/fetch"
import { accept, checkOptions, isSafe, isToken, validateSigningKey } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { appResponse, fetchAddress, fetchTransport } from "./fetch-transport.ts"
import type { Endpoint, Machine, MachineProvider } from "../contract/machine-provider.ts"
import { makeMachines } from "../machines/machines.ts"
import { machinesOptionChecks, MAX_TIMER_MS } from "../machines/machines-options.ts"
import type { MachinesOptions } from "../machines/machines-options.ts"
import type { AttemptRequest } from "../machines/attempt-request.ts"
import { inboundFields, knownBody } from "./inbound-request.ts"
import { observedBody } from "./observed-body.ts"
import { machineRequestHeaders } from "./request-headers.ts"

/** What {@link machineFetcher} takes. */
export interface FetcherOptions extends Omit<MachinesOptions, "providers"> {
  /** The port inside the machine, 1 to 65535. 3000. */
  readonly port?: number | undefined
  /** Signs the tickets. Without it the machine's proxy must run without keys. */
  readonly signingKey?: SigningKey | undefined
  /** How long a response's head may take, in ms; 0 disables the time-out. 60 000. */
  readonly headersTimeoutMs?: number | undefined
  /** The name of this hop in `Via` (RFC 9110 §7.6.3): a token. `project-ingress`. */
  readonly pseudonym?: string | undefined
  /**
   * Lets work go on after a response: `waitUntil` of `cloudflare:workers`. Without it a Worker may cancel the start of a machine
   * for its next visitor, and the report to the platform that a machine is in use.
   */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
}

/** The runtime's own WebSocket, open. Binary messages come as `ArrayBuffer`. */
export type MachineSocket = WebSocket

/** One machine as a function. Both calls reject with a `ProviderError`, or with the reason of the request's signal. */
export interface MachineFetcher {
  /**
   * Sends a request. The response is the app's own, whatever its status. On Workers it may be a WebSocket's 101. Rejects with a
   * `TypeError` for a GET or HEAD with a body of unknown length, which Workers cannot send.
   */
  (request: Request): Promise<Response>
  /**
   * Opens a WebSocket, by the same rules, on every runtime. Subprotocols are in the request's `sec-websocket-protocol`; its
   * method and body are ignored. Events come from the next turn of the event loop on: attach listeners at once. Rejects with
   * `HandshakeRefused` when the app, or its proxy, responded but opened none.
   */
  connect(request: Request): Promise<MachineSocket>
}

/** A WebSocket handshake got another response than 101. Not a failure of the machine, so no `ProviderError`. */
export class HandshakeRefused extends Error {
  readonly _tag = "HandshakeRefused"
  readonly status: number
  /** The machine proxy's own code, if it was the one that refused: `PORT_CLOSED`. */
  readonly code: string | undefined
  constructor(status: number, code: string | undefined) {
    super(`the WebSocket handshake was refused with ${status}${code === undefined ? "" : ` (${code})`}`)
    this.status = status
    this.code = code
  }
  override get name(): string {
    return this._tag
  }
}

const optionChecks = {
  ...machinesOptionChecks,
  port: (value) => (accept.integer(1, 65_535)(value) === undefined ? undefined : "an integer, 1 to 65535"),
  // `validateSigningKey` says more than a kind.
  signingKey: () => undefined,
  headersTimeoutMs: accept.number(0, MAX_TIMER_MS),
  pseudonym: (value) => (typeof value === "string" && isToken(value) ? undefined : "a token (RFC 9110 §5.6.2)"),
  waitUntil: accept.function,
} as const satisfies Record<keyof FetcherOptions, OptionCheck>

/**
 * One machine as a function. The response is the app's own, untouched, whatever its status; redirects are not followed. The
 * request's URL gives the path, and its hostname is what the app sees; its scheme and port are ignored.
 *
 * @throws {TypeError} naming the option that is unknown or invalid, or an invalid provider
 */
export const machineFetcher = (
  provider: MachineProvider,
  machine: Machine,
  options: FetcherOptions = {},
): MachineFetcher => {
  checkOptions("machineFetcher", options, optionChecks)
  // Its fields may come from a database: an invalid one fails each request, with `MachineRecordInvalid`.
  if (typeof machine !== "object" || machine === null) {
    throw new TypeError("machineFetcher: machine must be an object with id, type, externalId and metadata")
  }
  const {
    port = 3000,
    signingKey,
    headersTimeoutMs = 60_000,
    pseudonym = "project-ingress",
    waitUntil,
    ...machinesOptions
  } = options
  const { headerNames = defaultHeaderNames } = options
  const invalidKey = signingKey === undefined ? undefined : validateSigningKey(signingKey)
  if (invalidKey !== undefined) throw new TypeError(`machineFetcher: signingKey: ${invalidKey}`)
  const machines = makeMachines({ ...machinesOptions, providers: [provider] })
  const sign = signingKey === undefined ? undefined : ticketSigner(signingKey)

  /** What is sent of a request, to wherever its machine is at that moment. */
  const outgoingFor = (request: Request, upgrade: boolean) => {
    const url = new URL(request.url)
    const inbound = inboundFields(request)
    const target = targetFor(url.hostname, port)
    return async (endpoint: Endpoint, ended: AbortSignal) => {
      // Signed when it leaves: the request may have waited for half a ticket's life until its machine was running.
      const ticket = endpoint.machineProxy === false ? undefined : await sign?.(machine.id)
      const { capabilities } = provider
      const hop = { headerNames, pseudonym, upgrade, endpoint, capabilities, target, ticket }
      return {
        ...fetchAddress(endpoint, headerNames),
        target: url.pathname + url.search,
        headers: machineRequestHeaders(inbound, hop),
        signal: AbortSignal.any([request.signal, ended]),
        upgrade,
        headersTimeoutMs,
      }
    }
  }

  const reach = async <A>(attemptRequest: AttemptRequest<A>, signal: AbortSignal): Promise<A> => {
    try {
      const reached = machines.reach(machine, port, attemptRequest)
      return (await Effect.runPromise(reached, { signal })).response
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error
    }
  }

  const send = async (request: Request): Promise<Response> => {
    request.signal.throwIfAborted()
    const { method } = request
    const body = await knownBody(request)
    if (body === "unknown length") {
      throw new TypeError(
        `machineFetcher: the body of a ${method} needs a Content-Length, without which this runtime drops it`,
      )
    }
    const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket"
    const outgoing = outgoingFor(request, upgrade)
    const { promise: closed, resolve: close } = Promise.withResolvers<void>()
    const response = await reach<Response>(
      {
        send: (endpoint) =>
          sendPromise(async (ended) =>
            fetchTransport.received(
              await forwardFetch({ ...(await outgoing(endpoint, ended)), method, body, inbound: request }),
            ),
          ),
        readPrefix: fetchTransport.readPrefix,
        discard: fetchTransport.discard,
        closed: () => closed,
        waitUntil,
        // A body that was read, even in part, is gone; a method that is not safe may have had its effect (RFC 9110 §9.2.2).
        replayable: (sent) =>
          sent === "no" ? body === null || !(body.locked || request.bodyUsed) : body === null && isSafe(method),
      },
      request.signal,
    )
    const { edgeCookies } = provider.capabilities
    const passed = appResponse(response, { edgeCookies, headerNames })
    if (provider.keepAlive === undefined) return passed
    // Whoever gives the request up reads no more of its response.
    request.signal.addEventListener("abort", () => close(), { once: true })
    return observedBody(passed, close)
  }

  const connect = async (request: Request): Promise<MachineSocket> => {
    request.signal.throwIfAborted()
    const outgoing = outgoingFor(request, true)
    const handshake: AttemptRequest<HandshakeResponse> = {
      send: (endpoint) =>
        sendPromise(async (ended) => {
          const response = await forwardConnect(await outgoing(endpoint, ended))
          const { status, headers } = response
          const header = (name: string): string | undefined => headers?.get(name) ?? undefined
          return { status, header, headHidden: headers === undefined, response }
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
    const response = await reach(handshake, request.signal)
    if (response.socket !== undefined) return response.accept()
    handshake.discard(response)
    throw new HandshakeRefused(response.status, response.headers?.get(headerNames.error) ?? undefined)
  }

  return Object.assign(send, { connect })
}

const sendPromise = <A>(run: (ended: AbortSignal) => Promise<A>): Effect.Effect<A, SendFailure> =>
  Effect.tryPromise({ try: run, catch: SendFailure.from })

/** An address is not a public hostname; the machine's proxy knows its own ports by `localhost`. */
const targetFor = (hostname: string, port: number): string => {
  const named = /[a-z]/i.test(hostname) && !hostname.startsWith("[") && hostname !== "localhost"
  return named ? `${port}__${hostname}` : `localhost:${port}`
}
