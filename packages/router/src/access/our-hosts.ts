import { candidates, parse, portOf } from "@project-ingress/hostname"
import type { Grammar, RouteKey, Target } from "@project-ingress/hostname"
import type { RouteStore } from "../stores/route-store.ts"
import type { RouteRecord } from "../stores/record.ts"

/** In ms: a person would rather try again than wait. */
const LOOKUP_TIMEOUT_MS = 5_000

/** The store did not say whether a hostname is ours. */
export class HostUnknown extends Error {}

/**
 * Whether a hostname leads to a route of ours: under the grammar's domains by its form, on any other domain only if the store has its
 * record. Stricter than a router where the two could differ: a label that is no port and no service of the domain's is not ours.
 *
 * @throws {HostUnknown} if the store cannot say
 */
export const isOurHost = async (
  grammar: Grammar,
  store: Pick<RouteStore, "get"> | undefined,
  hostname: string,
): Promise<boolean> => {
  if (parse(grammar, hostname)._tag === "Target") return true
  const found = candidates(grammar, hostname)
  if (store === undefined || "_tag" in found) return false
  for (const { key, target } of found) {
    const record = await recordOf(store, key)
    if (record !== undefined && hasName(grammar, target, record)) return true
  }
  return false
}

const recordOf = async (store: Pick<RouteStore, "get">, key: RouteKey): Promise<RouteRecord | undefined> => {
  const looked = await Promise.resolve(store.get(key, { signal: AbortSignal.timeout(LOOKUP_TIMEOUT_MS) })).catch(
    (cause: unknown) => {
      throw new HostUnknown("the store failed", { cause })
    },
  )
  if (looked.status === "miss") return undefined
  if (looked.status !== "hit") throw new HostUnknown("the store cannot say", { cause: looked.cause })
  const { expiresAt = Infinity } = looked.record
  return expiresAt > Date.now() ? looked.record : undefined
}

const hasName = (grammar: Grammar, target: Target, record: RouteRecord): boolean => {
  if (record.kind === "removed") return false
  if (target.service === undefined || portOf(grammar, target) !== undefined) return true
  return record.kind === "machine" && Object.hasOwn(record.services ?? {}, target.service)
}
