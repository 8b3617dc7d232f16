import { errorRow } from "@project-ingress/forward/internal"
import { PolicyError } from "./policy-error.ts"

/** The request has passed more proxies than it may: 508. */
export class TooManyHops extends PolicyError {
  declare readonly _tag: "TooManyHops"
  constructor(fields: { readonly reason: string }) {
    super({ tag: "TooManyHops", row: tooManyHops, ...fields })
  }
}

const tooManyHops = errorRow(
  508,
  "TOO_MANY_HOPS",
  "proxy_loop_detected",
  "The request to {hostname} has passed too many proxies. Check whether one of them sends it in a circle.",
)
