import { resultRows } from "../result-rows.ts"
import type { SqlRow } from "../result-rows.ts"
import { LookupFailed } from "../store-health.ts"

/** Runs one statement with `$1`, `$2` … Returns its rows, or an object that has them in `rows`. All values are strings. */
export type PostgresQuery = (text: string, values: string[]) => PromiseLike<unknown>

/**
 * Listens on a channel, on a connection of its own, and calls back at each notification. Resolves to what ends that.
 */
export type PostgresListen = (channel: string, notify: () => void) => PromiseLike<() => unknown>

/** `owner`: the function that was given the query function, for the message. @throws {LookupFailed} if it gives no rows */
export const queryRows = async (
  owner: string,
  query: PostgresQuery,
  text: string,
  values: string[],
): Promise<readonly SqlRow[]> => {
  const rows = resultRows(await query(text, values))
  if (rows !== undefined) return rows
  throw new LookupFailed(`${owner}: query must return rows, or an object with rows`)
}
