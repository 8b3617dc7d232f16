import type { HostnameForeign } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { RouterError } from "../errors.ts"
import { PolicyError } from "../policies/policy-error.ts"
import type { Policy } from "../policies/policy.ts"
import type { RouteRecord } from "../stores/record.ts"
import type { Routes } from "../stores/routes.ts"
import { authorize } from "./authorize.ts"
import type { Decided } from "./authorize.ts"
import { resolveRoute } from "./resolve-route.ts"
import type { VisitorRequest } from "./sender.ts"
import { machinesOf } from "./withdraw.ts"

/**
 * Whether a request that was let in would still be: `ended` says why not. `unknown`: the store cannot tell, a policy failed, or one refuses for
 * reasons that are not the visitor's, as a limit.
 */
export type AccessCheck =
  | { readonly access: "allowed"; readonly generation: number }
  | { readonly access: "ended"; readonly reason: "denied" | "removed" | "moved" }
  | { readonly access: "unknown" }

/**
 * Decides about a request once more, as `handle` did: look-up and policies, and nothing is sent. Never fails. `machine`: the id of the one
 * that it was sent to, in which it may stay open only as long as the route leads there.
 */
export const checkAccess = (
  routes: Routes["Service"],
  { grammar, policies }: { readonly grammar: Grammar; readonly policies: readonly Policy[] },
  request: VisitorRequest,
  machine: string,
): Effect.Effect<AccessCheck> => {
  const policy = authorize(policies, request, undefined, [], "access")
  const route = resolveRoute(routes, grammar, request, { trace: [], whenOurs: policy.onRequest })
  const decided = Effect.flatMapEager(route, (found) => Effect.mapEager(policy.onRoute(found), () => found.record))
  return Effect.map(Effect.exit(decided), (exit) => checkOf(exit, machine))
}

const checkOf = (
  exit: Exit.Exit<RouteRecord, RouterError | Decided | HostnameForeign>,
  machine: string,
): AccessCheck => {
  if (Exit.isSuccess(exit)) {
    const { kind, generation = 0 } = exit.value
    if (kind === "removed") return { access: "ended", reason: "removed" }
    const isThere = machinesOf(exit.value).some(({ id }) => id === machine)
    // That machine may be another project's by now, whose visitors are others.
    return isThere ? { access: "allowed", generation } : { access: "ended", reason: "moved" }
  }
  const found = Cause.findError(exit.cause)
  if (!Result.isSuccess(found)) return { access: "unknown" }
  const error = found.success
  if (error instanceof PolicyError) return isOfVisitor(error) ? DENIED : { access: "unknown" }
  switch (error._tag) {
    case "Decided":
      return DENIED
    case "RouteNotFound":
    case "HostnameForeign":
      return { access: "ended", reason: "removed" }
    default:
      return { access: "unknown" }
  }
}

const DENIED: AccessCheck = { access: "ended", reason: "denied" }

/** A client may be over its rate, and what a policy depends on may be down: neither withdraws anything. */
const isOfVisitor = ({ row: { status } }: PolicyError): boolean => status < 500 && status !== 429
