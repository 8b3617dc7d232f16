import * as Effect from "effect/Effect"
import { defaultNames, requestHeaders, ticketMint } from "@project-ingress/forward"
import type { HopNames, TicketKey } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import type { Endpoint, Machine, MachineProvider } from "./machine-provider.ts"
import { makeMachines } from "./reach.ts"
import type { MachinesOptions } from "./reach.ts"
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

/** Sends a request to one machine. Rejects with a `ProviderError`, or with the reason of the request's signal. */
export type MachineFetcher = (request: Request) => Promise<Response>

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

  return async (request) => {
    const { body, method, signal } = request
    const url = new URL(request.url)
    const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket"
    const inbound = [...request.headers].flat()
    const ticket = await mint?.(machine.id)

    const outgoing = (endpoint: Endpoint, ended: AbortSignal): Promise<Response> =>
      forwardFetch({
        origin: endpoint.origin,
        target: url.pathname + url.search,
        method,
        headers: tunnelHeaders(
          requestHeaders(inbound, {
            names,
            pseudonym,
            trusted: false,
            upgrade,
            add: hopFields(names, port, url.hostname, ticket),
          }),
          provider.capabilities.eatenHeaders,
          endpoint,
          names,
        ),
        body,
        signal: AbortSignal.any([signal, ended]),
        upgrade,
        headersTimeoutMs,
      })

    const answer = machines.reach<Response>(machine, port, {
      send: (endpoint) =>
        Effect.map(
          Effect.tryPromise({
            try: (ended) => outgoing(endpoint, ended),
            catch: (cause) => (cause instanceof SendFailure ? cause : new SendFailure("other", "maybe", cause)),
          }),
          (answer) => ({
            status: answer.status,
            header: (lowerName) => answer.headers.get(lowerName) ?? undefined,
            answer,
          }),
        ),
      discard: (answer) => {
        answer.body?.cancel().catch(() => {})
      },
      // A body that somebody began to read is gone; a method that is not safe may have had its effect (RFC 9110 §9.2.2).
      replayable: (sent) =>
        sent === "no" ? body === null || !(body.locked || request.bodyUsed) : body === null && safe(method),
    })
    try {
      return await Effect.runPromise(answer, { signal })
    } catch (error) {
      if (signal.aborted) throw signal.reason
      throw error
    }
  }
}

const safe = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"

const hopFields = (names: HopNames, port: number, hostname: string, ticket: string | undefined): string[] => {
  // An address is not a public hostname; the machine's proxy knows its own ports by `localhost`.
  const named = /[a-z]/i.test(hostname) && !hostname.startsWith("[") && hostname !== "localhost"
  const target = named ? `${port}__${hostname}` : `localhost:${port}`
  return [names.targetHost, target, ...(ticket === undefined ? [] : [names.ticket, ticket])]
}
