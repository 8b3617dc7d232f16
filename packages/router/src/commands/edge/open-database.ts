/** What the command needs of a driver's connections. */
export interface EdgeDatabase {
  readonly query: (text: string) => Promise<unknown>
  readonly close: () => Promise<void>
}

/** The part of `pg` that is used. */
interface Pg {
  readonly Pool: new (options: object) => {
    query(text: string): Promise<unknown>
    end(): Promise<void>
    on(event: "error", listener: () => void): unknown
  }
}

/**
 * Connections to Postgres by `pg`, which is a peer dependency, because only this command needs it. Connects with the first query.
 *
 * @throws {Error} whose `code` is `ERR_MODULE_NOT_FOUND` if `pg` is not installed
 */
export const openDatabase = async (connectionString: string, timeoutMs: number): Promise<EdgeDatabase> => {
  const { default: pg } = (await import("pg")) as unknown as { readonly default: Pg }
  const pool = new pg.Pool({
    connectionString,
    max: 2,
    connectionTimeoutMillis: timeoutMs,
    // The driver gives up a little after the store does, so that no connection is lost to a query that hangs.
    query_timeout: timeoutMs + 1_000,
    keepAlive: true,
    application_name: "project-ingress-edge",
  })
  // An idle connection that the server ended: the next query opens another one, and reports it if that fails.
  pool.on("error", () => undefined)
  return { query: (text) => pool.query(text), close: () => pool.end() }
}
