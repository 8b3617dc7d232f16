import type { Route } from "../policies/policy.ts"
import type { RouteRecord } from "../stores/record.ts"
import { sha256 } from "./sha256.ts"

/**
 * What says whether a route is still the same project's: of its key, owner and `externalId`, which stay when a machine is attached or
 * detached. A hash, because what is given out with it can be read by its holder, and owners are nobody's business. A promise the
 * first time that a record is seen.
 */
export const projectIdentity = (): ((route: Pick<Route, "key" | "record">) => string | Promise<string>) => {
  // By the record, which a store gives again as long as it is the same.
  const known = new WeakMap<RouteRecord, { readonly key: string; readonly identity: string }>()
  return ({ key, record }) => {
    const found = known.get(record)
    if (found?.key === key) return found.identity
    const { owner = null, externalId = null } = record
    return sha256(JSON.stringify([key, owner, externalId])).then((identity) => {
      known.set(record, { key, identity })
      return identity
    })
  }
}
