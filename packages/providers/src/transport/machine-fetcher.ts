import * as Effect from "effect/Effect"
import { defaultHeaderNames, TicketsLimited, ticketSigner } from "@project-ingress/forward"
import type { SignedTicket, SigningKey } from "@project-ingress/forward"
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
  /**
   * What the port speaks, where that is not HTTP: `connect` opens a tunnel to it, as whose client you send and read frames. The request's
   * `sec-websocket-protocol` must be the tunnel's.
   */
  readonly protocol?: "tcp" | "udp" | undefined
  /** Signs the tickets. Without it the machine's proxy must run without keys. */
  readonly signingKey?: SigningKey | undefined
  /**
   * Whether responses of a machine proxy are accepted that cannot prove which machine it is, because it has no key of its own
   * (`machineKey`) or runs without keys. Then whoever sits at the machine's address is believed. Without `signingKey` it is so in
   * any case. False.
   */
  readonly unprovenMachines?: boolean | undefined
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
  protocol: accept.oneOf("tcp", "udp"),
  // `validateSigningKey` says more than a kind.
  signingKey: () => undefined,
  unprovenMachines: accept.boolean,
  headersTimeoutMs: accept.number(0, MAX_TIMER_MS),
  pseudonym: (value) => (typeof value === "string" && isToken(value) ? undefined : "a token (RFC 9110 §5.6.2)"),
  waitUntil: accept.function,
} as const satisfies Record<keyof FetcherOptions, OptionCheck>

/**
 * One machine as a function. The response is the app's own, untouched, whatever its status; redirects are not followed. The
 * request's URL gives the path, and its hostname is what the app sees; its scheme and port are ignored. A call rejects with
 * `TicketsLimited` of `@project-ingress/forward` while too many tickets were signed for the machine.
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
    protocol,
    signingKey,
    unprovenMachines,
    headersTimeoutMs = 60_000,
    pseudonym = "project-ingress",
    waitUntil,
    ...machinesOptions
  } = options
  const { headerNames = defaultHeaderNames } = options
  const invalidKey = signingKey === undefined ? undefined : validateSigningKey(signingKey)
  if (invalidKey !== undefined) throw new TypeError(`machineFetcher: signingKey: ${invalidKey}`)
  const machines = makeMachines({ ...machinesOptions, providers: [provider] })
  const signer = signingKey === undefined ? undefined : ticketSigner(signingKey, { unprovenMachines })
  const signed = async (): Promise<SignedTicket | undefined> => {
    const ticket = await signer?.ticketFor(machine.id, port, LOCAL_NAME)
    if (ticket instanceof TicketsLimited) throw ticket
    return ticket
  }

  /** What is sent of a request, to wherever its machine is at that moment. */
  const outgoingFor = (request: Request, upgrade: boolean) => {
    const url = new URL(request.url)
    const inbound = inboundFields(request)
    const named = isNamed(url.hostname)
    // A ticket is for this machine's port under one name, whatever name a request has: that goes into another field.
    const target = signer === undefined && named ? `${port}__${url.hostname}` : `${LOCAL_NAME}:${port}`
    const add = signer !== undefined && named ? ["X-Forwarded-Host", url.hostname] : []
    let last: SignedTicket | undefined
    const send = async (endpoint: Endpoint, ended: AbortSignal) => {
      // Signed when it leaves: the request may have waited for half a ticket's life until its machine was running.
      last = endpoint.machineProxy === false ? undefined : await signed()
      const { capabilities } = provider
      const hop = {
        headerNames,
        pseudonym,
        upgrade,
        endpoint,
        capabilities,
        target,
        ticket: last?.ticket,
        protocol,
        add,
      }
      return {
        ...fetchAddress(endpoint, headerNames),
        target: url.pathname + url.search,
        headers: machineRequestHeaders(inbound, hop),
        signal: AbortSignal.any([request.signal, ended]),
        upgrade,
        headersTimeoutMs,
        stamps: last?.stamps,
      }
    }
    const renewTicket = (): boolean => last !== undefined && signer!.renew(machine.id, port, LOCAL_NAME, last)
    return { send, renewTicket }
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
          sendPromise(async (ended) => {
            const { stamps, ...sent } = await outgoing.send(endpoint, ended)
            return fetchTransport.received(await forwardFetch({ ...sent, method, body, inbound: request }), stamps)
          }),
        renewTicket: outgoing.renewTicket,
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
          const { stamps, ...sent } = await outgoing.send(endpoint, ended)
          const response = await forwardConnect(sent)
          const { status, headers } = response
          const header = (name: string): string | undefined => headers?.get(name) ?? undefined
          return { status, header, stamps, headHidden: headers === undefined, response }
        }),
      renewTicket: outgoing.renewTicket,
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
  Effect.tryPromise({
    try: run,
    catch: (cause) => (cause instanceof TicketsLimited ? cause : SendFailure.from(cause)),
  }).pipe(
    // Nothing was sent, and nothing that is known about the machine explains it.
    Effect.catchTag("TicketsLimited", (limited) => Effect.die(limited)),
  )

/** The name in tickets and targets for a port that is asked for without a public hostname. */
const LOCAL_NAME = "localhost"

/** An address is not a public hostname; the machine's proxy knows its own ports by `localhost`. */
const isNamed = (hostname: string): boolean =>
  /[a-z]/i.test(hostname) && !hostname.startsWith("[") && hostname !== LOCAL_NAME
