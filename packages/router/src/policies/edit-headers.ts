import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { headerEdit } from "./header-edit.ts"
import type { Policy, ResponseSummary, Route } from "./policy.ts"

/** The request's fields after every policy's `onForward`. Throws what they throw. */
export const editForward = (
  policies: readonly Policy[],
  list: HeaderList,
  route: Route,
  names: HopHeaderNames,
): HeaderList => {
  if (!policies.some(({ onForward }) => onForward !== undefined)) return list
  const { edit, fields } = headerEdit(list, names)
  for (const policy of policies) policy.onForward?.(edit, route)
  return fields()
}

/** What edits the fields of a machine's response, or `undefined` if no policy does. It throws what the policies throw. */
export const responseEditor = (
  policies: readonly Policy[],
  route: Route,
  names: HopHeaderNames,
): ((head: ResponseSummary, list: HeaderList) => HeaderList) | undefined => {
  if (!policies.some(({ onResponse }) => onResponse !== undefined)) return undefined
  return (head, list) => {
    const { edit, fields } = headerEdit(list, names)
    for (const policy of policies) policy.onResponse?.(head, edit, route)
    return fields()
  }
}
