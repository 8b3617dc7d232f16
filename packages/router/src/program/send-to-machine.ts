import { TicketsLimited } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames, SignedTicket, TicketSigner } from "@project-ingress/forward"
import type { Grammar } from "@project-ingress/hostname"
import type { AttemptRequest, Capabilities, Endpoint } from "@project-ingress/providers"
import type { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import { ProxyFailed, TunnelUnsupported } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { appOrigin } from "../hop/app-origin.ts"
import { refuseReserved } from "../hop/cookie-isolation.ts"
import type { CookieSource, ProgramCookies } from "../hop/cookie-isolation.ts"
import { filterFields } from "../hop/filtered-fields.ts"
import type { FilteredField } from "../hop/filtered-fields.ts"
import { canonicalName } from "../hop/canonical-name.ts"
import { outboundHeaders } from "../hop/outbound-headers.ts"
import type { MachineHop } from "../hop/outbound-headers.ts"
import { isRedirectLoop, rewriteResponse, rewrittenResponse } from "../hop/rewrite-origins.ts"
import type { ProjectOrigins, RewrittenResponse } from "../hop/rewrite-origins.ts"
import type { ActivityReports } from "./activity.ts"
import type { ListeningPort } from "../policies/inspection.ts"
import type { HeaderEdits } from "./header-edits.ts"
import type { PortSettings } from "../stores/record.ts"
import { holdOf } from "./holding.ts"
import type { HoldingOptions, Waiting } from "./holding.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import { endRequest } from "./sender.ts"
import type { ResponseChanges, ResponseEdit, Sender, VisitorRequest } from "./sender.ts"
import { isTunnelled, protocolField, refuseByFetch } from "./protocol.ts"
import { wakes } from "./wakes.ts"

/** A response that came from a machine. */
export interface MachineResponse<A> {
  readonly _tag: "Machine"
  readonly response: A
  readonly status: number
  /** True if the machine's own proxy gave it, which it proves by its stamp; or a router of another region. */
  readonly stamped: boolean
  /** True if a router of another region gave it. */
  readonly byRouter?: boolean
  /** The code of a failure for which the machine's proxy generated the response. */
  readonly code: string | undefined
  readonly route: RouteToMachine
  /** Names of cookies in the response that are the provider's edge's own. */
  readonly edgeCookies: readonly string[] | undefined
  readonly changes: ResponseChanges
  /** What listens in the machine instead, where the port is closed and the visitor may know. */
  readonly listening?: readonly ListeningPort[]
  /** True if the app redirects the visitor to the URL just asked for. */
  readonly redirectsToItself: boolean
}

/** What the sending depends on beside the request. */
export interface SendSettings {
  readonly grammar: Grammar
  readonly cookies: ProgramCookies
  readonly onIsolated: CookieSource["onIsolated"]
  /** Fields that no app under the grammar's domains may send; `undefined` for none. */
  readonly filtered: ReadonlySet<FilteredField> | undefined
  readonly headerNames: HopHeaderNames
  /** What the policies change in header fields; `undefined` for nothing. */
  readonly edits: HeaderEdits | undefined
  readonly holding: HoldingOptions
  readonly activity: ActivityReports | undefined
  /** Signs tickets for ports of machines, or gives one that it signed before. */
  readonly tickets: TicketSigner
}

/** What is known of the visitor of one request. */
export interface Visit {
  /** How long it waits for a machine that sleeps. Default: as the machines' options say. */
  readonly waiting?: Waiting | undefined
  /** The id of the session, token or link that let it in. */
  readonly session?: string | undefined
}

/** Sends a request to where its route leads, through the machine's provider. `origins`: what it names of its own project. */
export const sendToMachine = <A>(
  machines: Machines["Service"],
  settingsOfRouter: SendSettings,
  request: VisitorRequest,
  route: RouteToMachine,
  origins: ProjectOrigins,
  sender: Sender<A>,
  { waiting, session }: Visit = {},
): Effect.Effect<MachineResponse<A>, RouterError> => {
  const { grammar, onIsolated, filtered, headerNames, edits, tickets, holding, activity } = settingsOfRouter
  const { narrows, reserved } = settingsOfRouter.cookies
  const { key, machine, port, settings, target, record } = route
  const { scheme, host } = request
  const name = canonicalName(grammar, key)
  const own = machines.provider(machine.type)?.capabilities ?? none
  const { edgeCookies } = own
  const road = { request, port, settings, provider: machine.type, carries: own.carries }
  const lost = settings.protocol && sender.refuseRoad?.(road)
  if (lost) return Effect.fail(lost)
  const capabilities = withReserved(own, reserved)
  const cookies = { narrows, grammar, target, key, host, reserved, onIsolated }
  const filter = target.domain === undefined ? undefined : filtered
  const { forward, response: respond } = edits ?? {}
  const edit: ResponseEdit | undefined =
    respond && ((head, fields) => withoutFiltered(respond(head, fields, route), filter, settings))

  /** The last attempt, which is the one that responded. */
  let sent: Sent | undefined

  const send = (endpoint: Endpoint): SendResult<A> => {
    if (endpoint.machineProxy === false && isTunnelled(settings) && sender.endsTunnels !== true) {
      return endRequest(new TunnelUnsupported({ port }))
    }
    const signed = endpoint.machineProxy === false ? undefined : tickets.ticketFor(machine.id, port, name)
    if (signed instanceof TicketsLimited) return endRequest(signed)
    if (!(signed instanceof Promise)) return sendWith(endpoint, signed)
    return Effect.flatMap(
      Effect.promise(() => signed),
      (ticket) => sendWith(endpoint, ticket),
    )
  }

  const sendWith = (endpoint: Endpoint, signed: SignedTicket | undefined): SendResult<A> => {
    if (settings.protocol && endpoint.machineProxy === false) {
      const refused = (sender.refuseRoad ?? refuseByFetch)({ ...road, origin: endpoint.origin })
      if (refused !== undefined) return endRequest(refused)
    }
    const app = appOrigin({ settings, port, endpoint, scheme, host })
    let headers
    try {
      headers = outboundHeaders(request, {
        headerNames,
        target: `${port}__${name}`,
        endpoint,
        capabilities,
        app,
        origins,
        ticket: signed?.ticket,
        session: signed && session,
        protocol: protocolField(settings),
        edit: forward && ((fields) => forward(fields, route)),
      })
    } catch (cause) {
      return endRequest(new ProxyFailed({ cause }))
    }
    const rewritten = rewrittenResponse(request, app, origins, cookies)
    const rewrite: ResponseChanges["rewrite"] = (fields) => {
      refuseReserved(fields, cookies)
      rewriteResponse(fields, rewritten)
      if (filter !== undefined) filterFields(fields, filter)
    }
    const changes = { rewrite, edit }
    sent = { signed, rewritten, changes }
    return sender.send({ endpoint, machine, headers, edgeCookies, settings, changes, stamps: signed?.stamps })
  }

  const renewTicket = (): boolean => sent?.signed !== undefined && tickets.renew(machine.id, port, name, sent.signed)

  const waking = own.wake === "none" ? {} : wakingOf(request, route, sender, holding, waiting)
  const reached = machines.reach<A>(machine, port, { ...sender, send, renewTicket, owner: record.owner, ...waking })
  return Effect.map(reached, ({ response, status, stamped, header }) => {
    if (activity !== undefined && sender.isUse !== false) {
      activity.markUsed(route, sender.closed?.(response), sender.waitUntil)
    }
    return {
      _tag: "Machine",
      response,
      status,
      stamped,
      code: stamped && status >= 400 ? header(headerNames.error) : undefined,
      route,
      edgeCookies,
      // What was reached was sent.
      changes: sent!.changes,
      redirectsToItself: isRedirectLoop(request, { status, header }, sent!.rewritten),
    }
  })
}

/** Whether a request starts its machine, and how long it waits for it. Only settings are a promise that nothing does. */
const wakingOf = (
  request: VisitorRequest,
  { settings }: RouteToMachine,
  { wake }: Pick<Sender<unknown>, "wake">,
  holding: HoldingOptions,
  waiting: Waiting | undefined,
): Pick<AttemptRequest<unknown>, "wake" | "holdMs"> => {
  const holdMs = holdOf(holding, request, waiting)
  if (settings.wake === "never" || wake === false) return { wake: false, holdMs }
  if (wake === true || wakes(settings.wake, request, waiting?.visitor() !== undefined)) return { wake: true, holdMs }
  return { wake: settings.wake === "visitors" ? false : "avoid", holdMs }
}

/** What an app may not send, its record does not set for it either. A policy of the platform's may. */
const withoutFiltered = (
  fields: HeaderList,
  filter: ReadonlySet<string> | undefined,
  { responseHeaders }: PortSettings,
): HeaderList => {
  const set = Object.keys(responseHeaders?.set ?? {}).filter((name) => filter?.has(name))
  if (set.length === 0) return fields
  const left = [...fields]
  filterFields(left, new Set(set))
  return left
}

type SendResult<A> = ReturnType<Sender<A>["send"]>

/** What belongs to one attempt. */
interface Sent {
  /** Its ticket; `undefined` for an app without a machine proxy. */
  readonly signed: SignedTicket | undefined
  readonly rewritten: RewrittenResponse
  readonly changes: ResponseChanges
}

/** What the platform keeps for itself is withheld as what the machine's edge does. */
const withReserved = (
  capabilities: MachineHop["capabilities"],
  reserved: readonly string[],
): MachineHop["capabilities"] => {
  if (reserved.length === 0) return capabilities
  const { interceptedHeaders, edgeCookies = [] } = capabilities
  return { interceptedHeaders, edgeCookies: [...edgeCookies, ...reserved] }
}

// Of a type that no provider has; `reach` fails with the field.
const none: MachineHop["capabilities"] & Pick<Capabilities, "wake" | "carries"> = {
  interceptedHeaders: [],
  wake: "none",
}
