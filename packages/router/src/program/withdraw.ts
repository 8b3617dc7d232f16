import type { Grammar } from "@project-ingress/hostname"
import type { Machine, ProviderError } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import { RouteNotFound } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import type { MachineRoute, RouteRecord } from "../stores/record.ts"
import type { Routes } from "../stores/routes.ts"
import type { MachineControl } from "./machine-control.ts"
import type { RegionHops } from "./region-hops.ts"
import { resolveRoute } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"

/** Whose access was withdrawn. */
export interface Withdrawal {
  /** The ids of sessions, tokens or links (`Visitor.id`), at most 1 000; `all`: everybody's whom a policy has proven. */
  readonly sessions: readonly string[] | "all"
  /** Ends the wait for machines. */
  readonly signal?: AbortSignal
}

/** What became of a withdrawal. */
export interface Withdrawn {
  /** How many exchanges and WebSockets were ended, in all machines. */
  readonly ended: number
  readonly machines: readonly WithdrawnMachine[]
}

/** What became of it in one machine. */
export interface WithdrawnMachine {
  /** The machine's id. */
  readonly machine: string
  readonly ended: number
  /**
   * Why it is not known that everything ended: the tag of a provider's error, then try again; `NotSupported`: the machine has no machine
   * proxy, or an old one, or too many tickets were signed for it; `OtherRegion`: withdraw at a router of its region.
   */
  readonly error?: string
}

/** What a withdrawal depends on. */
export interface WithdrawSettings {
  readonly routes: Routes["Service"]
  readonly grammar: Grammar
  readonly control: MachineControl
  readonly hops: RegionHops | undefined
}

/** Ends what is open of sessions in the machines behind a hostname. Rejects if it cannot be resolved. A machine that sleeps has nothing open. */
export const withdraw = async (
  { routes, grammar, control, hops }: WithdrawSettings,
  host: string,
  { sessions, signal }: Withdrawal,
): Promise<Withdrawn> => {
  const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect, signal && { signal })
  const { record } = await run(routeOf(routes, grammar, host))
  const elsewhere = hops?.isElsewhere(record, []) === true
  const machines = await Promise.all(
    machinesOf(record).map(async (machine): Promise<WithdrawnMachine> => {
      if (elsewhere) return { machine: machine.id, ended: 0, error: "OtherRegion" }
      return run(endedIn(control, grammar, record, machine, sessions))
    }),
  )
  return { ended: machines.reduce((sum, { ended }) => sum + ended, 0), machines }
}

const routeOf = (routes: Routes["Service"], grammar: Grammar, host: string) =>
  Effect.catch(
    resolveRoute(routes, grammar, withoutVisitor(host), {
      // What is cached may lead to another machine by now.
      refresh: true,
      trace: [],
      whenOurs: () => Effect.void,
    }),
    (error): Effect.Effect<never, RouterError> =>
      Effect.fail(
        error._tag === "HostnameForeign"
          ? new RouteNotFound({ key: `d:${host.toLowerCase()}` })
          : (error as RouterError),
      ),
  )

const endedIn = (
  control: MachineControl,
  grammar: Grammar,
  record: RouteRecord,
  { id, ...rest }: Machine,
  sessions: Withdrawal["sessions"],
): Effect.Effect<WithdrawnMachine> => {
  const port = (record as MachineRoute).port ?? grammar.defaultPort
  const asked = control.endSessions({ machine: { id, ...rest }, port, owner: record.owner }, sessions)
  return Effect.catch(
    Effect.map(asked, (ended): WithdrawnMachine =>
      ended === undefined ? { machine: id, ended: 0, error: "NotSupported" } : { machine: id, ended },
    ),
    ({ _tag }) =>
      Effect.succeed<WithdrawnMachine>({ machine: id, ended: 0, ...(asleep.has(_tag) ? {} : { error: _tag }) }),
  )
}

const asleep: ReadonlySet<ProviderError["_tag"]> = new Set(["MachineNotRunning", "MachineNotFound"])

/** Every machine that a record names, once. */
export const machinesOf = (record: RouteRecord): readonly Machine[] => {
  if (record.kind !== "machine") return []
  const { machine, replicas = [], rules = [] } = record
  const targets = rules.flatMap((rule) => rule.targets.flatMap((target) => target.machine ?? []))
  return [...new Map([machine, ...replicas, ...targets].map((each) => [each.id, each])).values()]
}

const withoutVisitor = (host: string): VisitorRequest => ({
  method: "GET",
  host,
  path: "/",
  headers: ["Host", host],
  scheme: "https",
  upgrade: false,
  signal: new AbortController().signal,
})
