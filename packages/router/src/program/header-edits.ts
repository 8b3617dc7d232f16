import { isThenable } from "@project-ingress/forward/internal"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { headerEdit } from "../policies/header-edit.ts"
import type { Policy, ResponseSummary, Route } from "../policies/policy.ts"
import { PolicyMistake } from "../policies/policy-error.ts"

/** The edits that policies make to the fields of requests and responses. They throw what the policies throw. */
export interface HeaderEdits {
  /** `undefined`: no policy edits requests. */
  readonly forward: ((list: HeaderList, route: Route) => HeaderList) | undefined
  /** `undefined`: no policy edits responses. */
  readonly response: ((head: ResponseSummary, list: HeaderList, route: Route) => HeaderList) | undefined
}

/** The edits of a router's policies, in order; `undefined` if none of them edits. */
export const headerEdits = (policies: readonly Policy[], names: HopHeaderNames): HeaderEdits | undefined => {
  const forwarding = policies.filter((policy) => policy.onForward !== undefined)
  const responding = policies.filter((policy) => policy.onResponse !== undefined)
  if (forwarding.length === 0 && responding.length === 0) return undefined
  const forward: HeaderEdits["forward"] = (list, route) => {
    const { edit, fields } = headerEdit(list, names)
    for (const policy of forwarding) synchronous(policy, policy.onForward?.(edit, route))
    return fields()
  }
  const response: HeaderEdits["response"] = (head, list, route) => {
    const { edit, fields } = headerEdit(list, names)
    for (const policy of responding) synchronous(policy, policy.onResponse?.(head, edit, route))
    return fields()
  }
  return {
    forward: forwarding.length === 0 ? undefined : forward,
    response: responding.length === 0 ? undefined : response,
  }
}

/** Edits after the first `await` would be lost. */
const synchronous = ({ name }: Policy, returned: unknown): void => {
  if (isThenable(returned)) throw new PolicyMistake(`policy ${name} must edit header fields synchronously`)
}
