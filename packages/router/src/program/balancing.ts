import type { HopHeaderNames } from "@project-ingress/forward"
import type { forwardFetch } from "@project-ingress/forward/fetch"
import type { Machines } from "@project-ingress/providers/effect"
import type * as Effect from "effect/Effect"
import type { Choose } from "./candidates.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { MachineResponse, SendSettings } from "./send-to-machine.ts"
import type { Sender } from "./sender.ts"
import type { TraceStep } from "./trace.ts"

/** Chooses between the machines of a route by their health, which it learns from the requests of one router. */
export interface Balancer {
  /** The balance of one request, made before its machine is first chosen. */
  readonly begin: () => RequestBalance
  /** What would be chosen now. Changes nothing. */
  readonly peek: Choose
  /** Ends the health checks. */
  readonly dispose: () => void
}

/** What a balancer knows of one request. */
export interface RequestBalance {
  /** Chooses among machines; those that the request was sent to before come last. */
  readonly choose: Choose
  /**
   * Sends the request to the machine that was chosen last, and learns from what comes of it. Where it failed and may be sent once
   * more, another machine is chosen and `again` sends it there. A route whose machine was not chosen here has no other one. Where
   * the settings have a health check, the machines of the route are checked now or when it is time.
   */
  readonly send: <A, B, E>(tried: Tried<A, B, E>) => Effect.Effect<MachineResponse<A> | B, E>
}

/** One attempt of a request, and what health checks of its machines need. */
export interface Tried<A, B, E> {
  readonly route: RouteToMachine
  readonly sender: Sender<A>
  readonly trace: TraceStep[]
  readonly machines: Machines["Service"]
  /** How the router sends requests to machines. */
  readonly send: SendSettings
  readonly attempt: (sender: Sender<A>) => Effect.Effect<MachineResponse<A>, E>
  readonly again: (route: RouteToMachine) => Effect.Effect<B, E>
}

/** What a balancer has of its router. */
export interface BalancerHost {
  readonly report: (event: MachineHealthEvent) => void
  readonly transport: typeof forwardFetch
  readonly headerNames: HopHeaderNames
}

/** A machine of several is avoided, or no longer. */
export interface MachineHealthEvent {
  readonly type: "machine_health"
  /**
   * - `ejected`: it gets no requests for a while, because it failed and another one is well.
   * - `kept`: it failed as often, and no other one is well: it goes on getting requests.
   * - `returned`: it is well again, after either.
   */
  readonly state: "ejected" | "kept" | "returned"
  /** The machine's `type`. */
  readonly provider: string
  /** The machine's `id`. */
  readonly machine: string
  readonly port: number
  /** The record's owner, if it has one. */
  readonly owner?: string
  /** Why: the tag or code of the failure, or what the health check found. Absent if it is well. */
  readonly reason?: string
  /** How often it happened since the last event of this machine and state, which comes once a second at most. */
  readonly count: number
}

/** What `balancer` of `./balancer` is: makes what one router keeps. */
export type MakeBalancer = (host: BalancerHost) => Balancer
