import { TicketsLimited } from "@project-ingress/forward"
import type { HopHeaderNames, SignedTicket, TicketScope, TicketSigner } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import type { forwardFetch } from "@project-ingress/forward/fetch"
import type { Endpoint, Machine, ProviderError } from "@project-ingress/providers"
import type { Machines } from "@project-ingress/providers/effect"
import { encapsulateHeaders, fetchAddress, fetchTransport, withTimeout } from "@project-ingress/providers/internal"
import * as Effect from "effect/Effect"
import { isVersion } from "../policies/inspection.ts"

/** A machine whose proxy is asked, on behalf of the router itself. */
export interface ControlledMachine {
  readonly machine: Machine
  /** The port by which its endpoint is resolved. */
  readonly port: number
  readonly owner: string | undefined
}

/** What a machine's proxy says listens in it. Untrusted, as everything of a machine is; the shape alone is checked. */
export interface MachinePorts {
  readonly ports: readonly { readonly port: number; readonly process: string | undefined }[]
  readonly version: string
}

/** Requests to machine proxies with a ticket of their own scope, which no visitor's request ever has. */
export interface MachineControl {
  /** What listens; `undefined`: its proxy cannot say it. Wakes nothing. */
  readonly ports: (
    to: ControlledMachine,
    query: { readonly waitMs: number; readonly since: string | undefined },
  ) => Effect.Effect<MachinePorts | undefined, ProviderError>
  /** Ends what is open of sessions, and gives how many that was; `undefined`: its proxy cannot do it. */
  readonly endSessions: (
    to: ControlledMachine,
    sessions: readonly string[] | "all",
  ) => Effect.Effect<number | undefined, ProviderError>
}

/** What control requests are sent by. */
export interface ControlSettings {
  readonly headerNames: HopHeaderNames
  readonly tickets: TicketSigner
  readonly transport: typeof forwardFetch
}

/** How long a machine's proxy may take to respond, beside what it is asked to wait, in ms. */
const RESPONSE_MS = 5_000
/** A list of 256 ports has some 30 kB. */
const MAX_BODY = 131_072

/** Thrown through `reach`: that nothing can be asked says nothing of the machine. */
class NothingToAsk extends Error {}

export const machineControl = (machines: Machines["Service"], settings: ControlSettings): MachineControl => {
  const ask = (to: ControlledMachine, request: ControlRequest): Effect.Effect<unknown, ProviderError> => {
    const { machine, port, owner } = to
    let sent: SignedTicket | undefined
    const send = (endpoint: Endpoint) =>
      Effect.catch(
        Effect.tryPromise({
          try: async (signal) => {
            sent = await ticketFor(settings.tickets, machine.id, request.scope, endpoint)
            return sendControl(settings, endpoint, request, sent, signal)
          },
          catch: (cause) => (cause instanceof NothingToAsk ? cause : SendFailure.from(cause)),
        }),
        (error) => (error instanceof NothingToAsk ? Effect.die(error) : Effect.fail(error)),
      )
    // A machine that every request starts is started by this one, too: else nobody could end what is open in it.
    const startsByItself = machines.provider(machine.type)?.capabilities.wake === "request"
    const reached = machines.reach<Response>(machine, port, {
      send,
      owner,
      discard: fetchTransport.discard,
      readPrefix: fetchTransport.readPrefix,
      replayable: () => true,
      renewTicket: () => sent !== undefined && settings.tickets.renewScoped(machine.id, request.scope, sent),
      ...(startsByItself && request.scope === "control" ? {} : { wake: false }),
    })
    return Effect.flatMap(reached, ({ response, status, stamped }) =>
      stamped && status === 200 ? Effect.promise((signal) => jsonOf(response, signal)) : unusable(response),
    ).pipe(
      Effect.catchDefect((defect) => (defect instanceof NothingToAsk ? Effect.succeed(undefined) : Effect.die(defect))),
    )
  }

  return {
    ports: (to, { waitMs, since }) => {
      const query = new URLSearchParams({
        ...(waitMs > 0 ? { wait: String(Math.ceil(waitMs)) } : {}),
        ...(since ? { since } : {}),
      })
      const target = `/__ingress/ports?${query}`
      return Effect.map(ask(to, { scope: "inspect", method: "GET", target, body: undefined, waitMs }), portsIn)
    },
    endSessions: (to, sessions) => {
      const body = JSON.stringify({ sessions })
      const request = { scope: "control", method: "POST", target: "/__ingress/end-sessions", body, waitMs: 0 } as const
      return Effect.map(ask(to, request), endedIn)
    },
  }
}

/** One control request. */
interface ControlRequest {
  readonly scope: TicketScope
  readonly method: "GET" | "POST"
  readonly target: string
  readonly body: string | undefined
  readonly waitMs: number
}

const ticketFor = async (tickets: TicketSigner, machine: string, scope: TicketScope, endpoint: Endpoint) => {
  if (endpoint.machineProxy === false) throw new NothingToAsk("an app's own address has no machine proxy")
  const ticket = await tickets.scopedTicketFor(machine, scope)
  if (ticket instanceof TicketsLimited) throw new NothingToAsk(ticket.message)
  return ticket
}

const sendControl = async (
  { headerNames, transport }: ControlSettings,
  endpoint: Endpoint,
  { method, target, body, waitMs }: ControlRequest,
  { ticket, stamps }: SignedTicket,
  signal: AbortSignal,
) => {
  const own = ["Accept", "application/json", headerNames.ticket, ticket]
  const response = await transport({
    ...fetchAddress(endpoint, headerNames),
    target,
    method,
    headers: encapsulateHeaders(own, [], endpoint, headerNames),
    body: body === undefined ? null : new Response(body).body,
    signal,
    headersTimeoutMs: waitMs + RESPONSE_MS,
  })
  return fetchTransport.received(response, stamps)
}

const unusable = (response: Response): Effect.Effect<undefined> =>
  Effect.sync(() => {
    fetchTransport.discard(response)
    return undefined
  })

/** The body as JSON; `undefined` for one that is invalid, longer than any of ours, or does not end. */
const jsonOf = async (response: Response, signal: AbortSignal): Promise<unknown> => {
  const reader = response.body?.getReader()
  try {
    // Root in a machine may send a byte now and then without an end.
    return await withTimeout(RESPONSE_MS, signal, () => readJson(reader))
  } catch {
    reader?.cancel().catch(() => {})
    return undefined
  }
}

/** Throws for a body that is invalid. */
const readJson = async (reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<unknown> => {
  const decoder = new TextDecoder()
  let text = ""
  let length = 0
  for (let next = await reader?.read(); next?.done === false; next = await reader!.read()) {
    length += next.value.length
    if (length > MAX_BODY) throw new Error("a body that is too long")
    text += decoder.decode(next.value, { stream: true })
  }
  return JSON.parse(text) as unknown
}

const endedIn = (value: unknown): number | undefined => {
  const { ended } = (value ?? {}) as Readonly<Record<string, unknown>>
  return Number.isSafeInteger(ended) && (ended as number) >= 0 ? (ended as number) : undefined
}

const portsIn = (value: unknown): MachinePorts | undefined => {
  const { ports, version } = (value ?? {}) as Readonly<Record<string, unknown>>
  if (!Array.isArray(ports) || ports.length > 256 || !isVersion(version)) return undefined
  const listed = new Map<number, string | undefined>()
  for (const each of ports as readonly unknown[]) {
    const { port, process } = (each ?? {}) as Readonly<Record<string, unknown>>
    if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) return undefined
    listed.set(port as number, typeof process === "string" ? process.slice(0, 64) : undefined)
  }
  return { ports: [...listed].toSorted(([a], [b]) => a - b).map(([port, process]) => ({ port, process })), version }
}
