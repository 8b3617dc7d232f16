import type { HopHeaderNames } from "@project-ingress/forward"
import type { Endpoint } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import { ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { appOrigin } from "../hop/app-origin.ts"
import { outboundHeaders } from "../hop/outbound-headers.ts"
import type { MachineHop } from "../hop/outbound-headers.ts"
import { isRedirectLoop, rewriteResponse, rewrittenResponse } from "../hop/rewrite-origins.ts"
import type { ProjectOrigins, RewrittenResponse } from "../hop/rewrite-origins.ts"
import type { HeaderEdits } from "./header-edits.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { ResponseChanges, ResponseEdit, Sender, VisitorRequest } from "./sender.ts"

/** A response that came from a machine. */
export interface MachineResponse<A> {
  readonly _tag: "Machine"
  readonly response: A
  readonly status: number
  /** True if the machine's own proxy gave it, which it proves by its stamp. */
  readonly stamped: boolean
  /** The code of a failure for which the machine's proxy generated the response. */
  readonly code: string | undefined
  readonly route: RouteToMachine
  /** Names of cookies in the response that are the platform's own. */
  readonly edgeCookies: readonly string[] | undefined
  readonly changes: ResponseChanges
  /** True if the app redirects the visitor to the URL just asked for. */
  readonly redirectsToItself: boolean
}

/** What the sending depends on beside the request. */
export interface SendSettings {
  readonly headerNames: HopHeaderNames
  /** What the policies change in header fields; `undefined` for nothing. */
  readonly edits: HeaderEdits | undefined
  /** Signs a ticket for a machine, or gives one that it signed before. */
  readonly ticketFor: (machine: string) => string | Promise<string>
}

/** Sends a request to where its route leads, through the machine's provider. `origins`: what it names of its own project. */
export const sendToMachine = <A>(
  { headerNames, edits, ticketFor }: SendSettings,
  request: VisitorRequest,
  route: RouteToMachine,
  origins: ProjectOrigins,
  sender: Sender<A>,
): Effect.Effect<MachineResponse<A>, RouterError, Machines> =>
  Machines.use((machines) => {
    const { machine, port, settings, target, record } = route
    const { scheme, host } = request
    const capabilities: MachineHop["capabilities"] = machines.provider(machine.type)?.capabilities ?? none
    const { edgeCookies } = capabilities
    const edit: ResponseEdit | undefined = edits && ((head, fields) => edits.response(head, fields, route))

    // Of the endpoint that responded, which is the last one.
    let to: RewrittenResponse | undefined
    let changes: ResponseChanges = { rewrite: ignore, edit }

    const sendTo = (endpoint: Endpoint, ticket: string | undefined): ReturnType<typeof sender.send> => {
      const app = appOrigin({ settings, port, endpoint, scheme, host })
      let headers
      try {
        headers = outboundHeaders(request, {
          headerNames,
          target,
          port,
          endpoint,
          capabilities,
          app,
          origins,
          ticket,
          edit: edits && ((fields) => edits.forward(fields, route)),
        })
      } catch (cause) {
        return Effect.die(new ProxyFailed({ cause }))
      }
      const response = rewrittenResponse(request, app, origins)
      to = response
      changes = { rewrite: (fields) => rewriteResponse(fields, response), edit }
      return sender.send({ endpoint, machine, headers, edgeCookies, changes })
    }
    const send = (endpoint: Endpoint): ReturnType<typeof sender.send> => {
      const ticket = endpoint.machineProxy === false ? undefined : ticketFor(machine.id)
      return typeof ticket === "object"
        ? Effect.flatMap(
            Effect.promise(() => ticket),
            (signed) => sendTo(endpoint, signed),
          )
        : sendTo(endpoint, ticket)
    }

    return Effect.map(
      machines.reach<A>(machine, port, { ...sender, send, owner: record.owner }),
      ({ response, status, stamped, header }) => ({
        _tag: "Machine",
        response,
        status,
        stamped,
        code: stamped && status >= 400 ? header(headerNames.error) : undefined,
        route,
        edgeCookies,
        changes,
        redirectsToItself: to !== undefined && isRedirectLoop(request, { status, header }, to),
      }),
    )
  })

// Of a type that no provider has; `reach` fails with the field.
const none = { interceptedHeaders: [] }

const ignore = (): void => {}
