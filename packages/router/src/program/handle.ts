import { defaultHeaderNames, headerValue, ticketSigner } from "@project-ingress/forward"
import { headerValues } from "@project-ingress/forward/internal"
import type { HopHeaderNames, SigningKey } from "@project-ingress/forward"
import { parse, portOf, routeKey } from "@project-ingress/hostname"
import type { Grammar, HostnameForeign, Target } from "@project-ingress/hostname"
import { MachineRecordInvalid } from "@project-ingress/providers"
import type { Endpoint, Machine } from "@project-ingress/providers"
import { Machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import { LoopDetected, ProxyFailed, RouteNotFound, UpgradeUnsupported } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import type { Exchange, Inbound } from "./exchange.ts"
import { machineHeaders } from "../hop/outbound-headers.ts"
import { decide } from "../policies/policy.ts"
import type { Policy } from "../policies/policy.ts"
import type { RouteKey, RouteRecord } from "../stores/route-store.ts"
import { Routes } from "../stores/routes.ts"

/** What a router is made of, beside the services `Routes` and `Machines`. */
export interface Settings {
  readonly grammar: Grammar
  /** The private half (EdDSA) or the shared secret (HS256) of the tickets. */
  readonly signingKey: SigningKey
  /** In order; the first refusal counts. Default: everybody may see everything. */
  readonly policies?: readonly Policy[]
  /** The headers of the hop; must be the machine's. Default `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames
  /** How long an answer's head may take, in ms; 0 is for ever. A body has no limit. Default 120 000. */
  readonly headersTimeoutMs?: number
}

/** What came back from a machine. */
export interface Handled<A> {
  readonly answer: A
  readonly status: number
  /** True when the machine's own proxy gave it, which it then proved. */
  readonly stamped: boolean
  readonly machine: Machine
  /** Names of cookies in the answer that are the platform's own. */
  readonly edgeCookies: readonly string[] | undefined
}

/** Who we are in `Via` and `Proxy-Status`. */
export const pseudonym = "ingress-router"

/** Long enough for a development server that compiles, short enough that somebody learns why. In ms. */
export const headersTimeoutMs = 120_000

/** How often a request may pass this router, by its own count in `Via`. */
const maxHops = 10

/**
 * The program: one request from its head to a machine's answer. Its failures are all that a router answers by itself, and
 * `HostnameForeign`, which is the caller's own to serve. Needs no more than what it is given: a test gives it fakes.
 */
export const handle = (settings: Settings) => {
  const { grammar: hostnames, policies = [], headerNames: names = defaultHeaderNames } = settings
  const mint = ticketSigner(settings.signingKey)

  const ticketFor = (machine: Machine): Effect.Effect<string> => {
    const ticket = mint(machine.id)
    return typeof ticket === "string" ? Effect.succeed(ticket) : Effect.promise(() => ticket)
  }

  const authorised = (inbound: Inbound, target: Target, key: RouteKey, record: RouteRecord) =>
    Effect.suspend((): Effect.Effect<void, RouterError> => {
      if (policies.length === 0) return Effect.void
      try {
        const said = decide(policies, {
          method: inbound.method,
          host: inbound.host,
          path: inbound.target,
          header: (lowerName) => headerValue(inbound.headers, lowerName),
          upgrade: inbound.upgrade !== false,
          target,
          key,
          record,
        })
        if (said === undefined) return Effect.void
        if (!(said instanceof Promise)) return Effect.fail(said)
        return Effect.tryPromise({ try: () => said, catch: (cause) => new ProxyFailed({ cause }) }).pipe(
          Effect.flatMap((late) => (late === undefined ? Effect.void : Effect.fail(late))),
        )
      } catch (cause) {
        return Effect.fail(new ProxyFailed({ cause }))
      }
    })

  return Effect.fnUntraced(function* <A>(
    inbound: Inbound,
    exchange: Exchange<A>,
  ): Effect.fn.Return<Handled<A>, RouterError | HostnameForeign, Routes | Machines> {
    const target = parse(hostnames, inbound.host)
    if (target._tag !== "Target") return yield* Effect.fail(target)
    const hops = timesPassed(headerValues(inbound.headers, "via"))
    if (hops > maxHops) return yield* Effect.fail(new LoopDetected({ hops }))

    if (inbound.upgrade === "unsupported") return yield* Effect.fail(new UpgradeUnsupported())

    const routes = yield* Routes
    const machines = yield* Machines
    const key = routeKey(target)

    const attempt = Effect.fnUntraced(function* (record: RouteRecord): Effect.fn.Return<Handled<A>, RouterError> {
      yield* authorised(inbound, target, key, record)
      const { machine } = record
      const port = portFor(hostnames, target, key, record)
      if (typeof port !== "number") return yield* Effect.fail(port)
      const { interceptedHeaders = [], edgeCookies } = machines.provider(machine.type)?.capabilities ?? {}
      const received = yield* machines.reach<A>(machine, port, {
        send: (endpoint: Endpoint) =>
          Effect.gen(function* () {
            const ticket = endpoint.machineProxy === false ? undefined : yield* ticketFor(machine)
            const headers = machineHeaders(inbound, {
              names,
              pseudonym,
              target,
              port,
              ticket,
              endpoint,
              eaten: interceptedHeaders,
              edgeCookies,
              host: record.host,
            })
            return yield* exchange.send({ endpoint, machine, headers, edgeCookies })
          }),
        discard: exchange.discard,
        replayable: exchange.replayable,
        readPrefix: exchange.readPrefix,
        closed: exchange.closed,
        waitUntil: exchange.waitUntil,
      })
      const { response: answer, status, header } = received
      return { answer, status, stamped: header(names.stamp) !== undefined, machine, edgeCookies }
    })

    return yield* routes.lookup(key).pipe(
      Effect.flatMap(attempt),
      Effect.catchTag("MachineMismatch", (moved) =>
        // Asked also when this request is lost: the next one then finds the machine.
        Effect.flatMap(routes.lookup(key, { refresh: true }), (record) =>
          exchange.replayable("no") ? attempt(record) : Effect.fail(moved),
        ),
      ),
    )
  })
}

/** Own entries of `Via` (RFC 9110 §7.6.3): `[protocol/]version pseudonym [comment]`, by comma. */
const timesPassed = (via: readonly string[]): number => {
  let times = 0
  for (const line of via) {
    for (const entry of line.split(",")) if (entry.trim().split(/[ \t]+/, 2)[1] === pseudonym) times += 1
  }
  return times
}

/** Explicit port, else the service's (the record's word before the grammar's), else the record's, else the grammar's. */
export const portFor = (
  grammar: Grammar,
  target: Target,
  key: RouteKey,
  record: RouteRecord,
): number | RouteNotFound | MachineRecordInvalid => {
  if (target.port !== undefined) return target.port
  const service = target.kind === "project" ? target.service : undefined
  if (service !== undefined) {
    const own = record.services
    // Own properties only: a hostname may say `constructor`.
    if (own !== undefined && Object.hasOwn(own, service)) return checked(own[service], `services.${service}`, record)
    return portOf(grammar, target) ?? new RouteNotFound({ key, service })
  }
  return record.port === undefined ? grammar.defaultPort : checked(record.port, "port", record)
}

const checked = (port: number | undefined, field: string, { machine }: RouteRecord): number | MachineRecordInvalid =>
  Number.isInteger(port) && port! >= 1 && port! <= 65_535
    ? port!
    : new MachineRecordInvalid({
        provider: machine.type,
        machine: machine.externalId,
        field,
        accepted: "a port, 1 to 65535",
      })
