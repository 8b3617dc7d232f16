import type { HopHeaderNames } from "@project-ingress/forward"
import type { Endpoint } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { outboundHeaders } from "../hop/outbound-headers.ts"
import type { MachineHop } from "../hop/outbound-headers.ts"
import type { HeaderEdits } from "./header-edits.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { ResponseEdit, Sender, VisitorRequest } from "./sender.ts"

/** A response that came from a machine. */
export interface MachineResponse<A> {
  readonly _tag: "Machine"
  readonly response: A
  readonly status: number
  /** True if the machine's own proxy gave it, which it proves by its stamp. */
  readonly stamped: boolean
  readonly route: RouteToMachine
  /** Names of cookies in the response that are the platform's own. */
  readonly edgeCookies: readonly string[] | undefined
  /** Edits the fields for the visitor, if a policy does. Throws if a policy throws. */
  readonly editResponse: ResponseEdit | undefined
}

/** What the sending depends on beside the request. */
export interface SendSettings {
  readonly headerNames: HopHeaderNames
  /** What the policies change in header fields; `undefined` for nothing. */
  readonly edits: HeaderEdits | undefined
  /** Signs a ticket for a machine, or gives one that it signed before. */
  readonly ticketFor: (machine: string) => string | Promise<string>
}

/** Sends a request to where its route leads, through the machine's provider. */
export const sendToMachine = Effect.fnUntraced(function* <A>(
  { headerNames, edits, ticketFor }: SendSettings,
  request: VisitorRequest,
  route: RouteToMachine,
  sender: Sender<A>,
): Effect.fn.Return<MachineResponse<A>, RouterError, Machines> {
  const { machine, port, settings, target } = route
  const machines = yield* Machines
  const capabilities: MachineHop["capabilities"] = machines.provider(machine.type)?.capabilities ?? none
  const { edgeCookies } = capabilities
  const editResponse: ResponseEdit | undefined = edits && ((head, fields) => edits.response(head, fields, route))

  const fieldsFor = (endpoint: Endpoint, ticket: string | undefined) =>
    Effect.try({
      try: () =>
        outboundHeaders(request, {
          headerNames,
          target,
          port,
          endpoint,
          capabilities,
          appOrigin: settings.appOrigin,
          ticket,
          edit: edits && ((fields) => edits.forward(fields, route)),
        }),
      catch: (cause) => new ProxyFailed({ cause }),
    })

  const received = yield* machines.reach<A>(machine, port, {
    ...sender,
    send: (endpoint) =>
      Effect.gen(function* () {
        const ticket = endpoint.machineProxy === false ? undefined : ticketFor(machine.id)
        const signed = typeof ticket === "object" ? yield* Effect.promise(() => ticket) : ticket
        const headers = yield* Effect.orDie(fieldsFor(endpoint, signed))
        return yield* sender.send({ endpoint, machine, headers, edgeCookies, editResponse })
      }),
  })
  return {
    _tag: "Machine",
    response: received.response,
    status: received.status,
    stamped: received.stamped,
    route,
    edgeCookies,
    editResponse,
  }
})

// Of a type that no provider has; `reach` fails with the field.
const none = { interceptedHeaders: [] }
