import type { RouteKey } from "@project-ingress/hostname"
import type { Grant } from "../storage/ingress-storage.ts"

/** By list: it is a new one whenever there is another grant. */
const indexes = new WeakMap<readonly Grant[], ReadonlySet<string>>()

/** Whether what stands under a key, and is of `owner`, was granted `to` an owner. In one step, as every request may ask. */
export const isGranted = (grants: readonly Grant[], key: RouteKey, owner: string | undefined, to: string): boolean => {
  let index = indexes.get(grants)
  if (index === undefined) {
    index = new Set(
      grants.map(({ target, owner, to }) =>
        JSON.stringify(["machine" in target ? `m:${target.machine}` : `p:${target.project}`, owner, to]),
      ),
    )
    indexes.set(grants, index)
  }
  return index.has(JSON.stringify([key, owner, to]))
}
