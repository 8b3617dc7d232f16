import type { SqlRow } from "./database.ts"

/** Runs one statement with `$1`, `$2` … Returns its rows, or an object that has them in `rows`. All values are strings. */
export type PostgresQuery = (text: string, values: string[]) => PromiseLike<unknown>

/**
 * Listens on a channel, on a connection of its own, and calls back at each notification. Resolves to what ends that.
 */
export type PostgresListen = (channel: string, notify: () => void) => PromiseLike<() => unknown>

/** `owner`: the function that was given the query function, for the message. @throws {TypeError} if it gives no rows */
export const queryRows = async (
  owner: string,
  query: PostgresQuery,
  text: string,
  values: string[],
): Promise<readonly SqlRow[]> => {
  const result: unknown = await query(text, values)
  if (Array.isArray(result)) return result as readonly SqlRow[]
  const { rows } = (result ?? {}) as { readonly rows?: unknown }
  if (Array.isArray(rows)) return rows as readonly SqlRow[]
  throw new TypeError(`${owner}: query must return rows, or an object with rows`)
}
