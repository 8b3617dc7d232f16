import { reasonOf, rowOf } from "../../error-response.ts"
import type { RequestOutcome } from "../../router-program.ts"

/** Why a connection is not made, by the response that a tunnel's handshake would have had. */
export interface TunnelRefusal {
  readonly status: number
  readonly code: string | undefined
  readonly reason: string
}

/** The refusal that the program came to; of a machine, its response to the handshake was no 101. */
export const tunnelRefusal = (outcome: RequestOutcome<unknown>): TunnelRefusal => {
  if (outcome._tag === "NotOurs") {
    return { status: 404, code: "ROUTE_NOT_FOUND", reason: "its hostname is not ours" }
  }
  // nginx's number for it.
  if (outcome._tag === "ClientLeft") return { status: 499, code: undefined, reason: "its client left" }
  if (outcome._tag === "Failed") return { ...statusOf(rowOf(outcome.error)), reason: reasonOf(outcome.error) }
  if (outcome._tag === "Machine") return { ...statusOf(outcome), reason: "its machine refused it" }
  return { ...statusOf(outcome.response), reason: "a policy or its record refused it" }
}

const statusOf = ({ status, code }: { readonly status: number; readonly code?: string | undefined }) => ({
  status,
  code,
})
