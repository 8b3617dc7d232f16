import { isThenable } from "@project-ingress/forward/internal"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { headerEdit } from "../policies/header-edit.ts"
import type { Policy, ResponseSummary, Route } from "../policies/policy.ts"
import { PolicyMistake } from "../policies/policy-error.ts"

/** The edits that policies make to the fields of requests and responses. They throw what the policies throw. */
export interface HeaderEdits {
  readonly forward: (list: HeaderList, route: Route) => HeaderList
  readonly response: (head: ResponseSummary, list: HeaderList, route: Route) => HeaderList
}

/** The edits of a router's policies, in order; `undefined` if none of them edits. */
export const headerEdits = (policies: readonly Policy[], names: HopHeaderNames): HeaderEdits | undefined => {
  if (!policies.some((policy) => policy.onForward !== undefined || policy.onResponse !== undefined)) {
    return undefined
  }
  return {
    forward: (list, route) => {
      const { edit, fields } = headerEdit(list, names)
      for (const policy of policies) synchronous(policy, policy.onForward?.(edit, route))
      return fields()
    },
    response: (head, list, route) => {
      const { edit, fields } = headerEdit(list, names)
      for (const policy of policies) synchronous(policy, policy.onResponse?.(head, edit, route))
      return fields()
    },
  }
}

/** Edits after the first `await` would be lost. */
const synchronous = ({ name }: Policy, returned: unknown): void => {
  if (isThenable(returned)) throw new PolicyMistake(`policy ${name} must edit header fields synchronously`)
}
