import type { HeaderList, HopHeaderNames, SigningKey } from "@project-ingress/forward"
import type * as Effect from "effect/Effect"
import type { RouterError } from "../errors.ts"
import type { RouteRecord } from "../stores/record.ts"
import type { ArrivedHop, HopRequest, RegionEvent } from "./arrived-hop.ts"
import type { MachineResponse } from "./send-to-machine.ts"
import type { RouteToMachine } from "./resolve-route.ts"
import type { Sender, VisitorRequest } from "./sender.ts"
import type { TraceStep } from "./trace.ts"

/** What `regions` of `./regions` returns: where the other regions of a platform are. */
export interface Regions {
  /** The region of this router. */
  readonly self: string
  /** For one router. Throws a `TypeError` if the router's key cannot sign hops. */
  readonly hops: (setup: RegionSetup) => RegionHops
}

/** What region hops need of their router. */
export interface RegionSetup {
  readonly signingKey: SigningKey
  readonly headerNames: HopHeaderNames
  readonly onEvent: (event: RegionEvent) => void
}

/** How requests get from region to region. */
export interface RegionHops {
  /** What a request's hop says; `undefined` if it has none, or one that is not valid. Never rejects. */
  readonly arrived: (request: HopRequest) => Promise<ArrivedHop | undefined> | undefined
  /** A request as its visitor sent it, if it came by a valid hop; else the request itself. Never rejects. */
  readonly asSent: <R extends VisitorRequest>(request: R) => R | Promise<R>
  /** The fields of a request that came by a hop, as its client sent them. */
  readonly restored: (headers: HeaderList) => HeaderList
  /** Whether a record's machines are in another region. Adds that to the trace, where the record names a region. */
  readonly isElsewhere: (record: RouteRecord, trace: TraceStep[]) => boolean
  /** Sends a request to the region of its route. `lookAgain` looks its record up past every cache, if its budget allows. */
  readonly send: <A>(
    request: VisitorRequest,
    route: RouteToMachine,
    sender: Sender<A>,
    lookAgain: () => Effect.Effect<unknown, unknown>,
  ) => Effect.Effect<MachineResponse<A>, RouterError>
}
