/** What the command needs of a driver's connections. */
export interface EdgeDatabase {
  readonly query: (text: string, values?: string[]) => Promise<unknown>
  /** Runs statements on one connection: commits when `run` resolves, and rolls back when it rejects. */
  readonly transaction: <A>(run: (query: EdgeDatabase["query"]) => Promise<A>) => Promise<A>
  /** Listens on a connection of its own. Resolves to what ends that. */
  readonly listen: (channel: string, notify: () => void) => Promise<() => Promise<void>>
  readonly close: () => Promise<void>
}

/** The part of `pg` that is used. */
interface Pg {
  readonly Pool: new (options: object) => {
    query(text: string, values?: string[]): Promise<unknown>
    connect(): Promise<PgConnection & { release(cause?: boolean): void }>
    end(): Promise<void>
    on(event: "error", listener: () => void): unknown
    on(event: "connect", listener: (connection: PgConnection) => void): unknown
  }
  readonly Client: new (options: object) => PgConnection & {
    connect(): Promise<unknown>
    end(): Promise<void>
  }
}

interface PgConnection {
  query(text: string, values?: string[]): Promise<unknown>
  on(event: "error" | "notification", listener: () => void): unknown
}

/** How long a store waits for a query, in ms. */
export const QUERY_MS = 10_000
/** How long a connection may take, in ms. */
const CONNECT_MS = 5_000

/**
 * Connections to Postgres by `pg`, which is a peer dependency, because only this command needs it. Connects with the first query.
 *
 * @throws {Error} whose `code` is `ERR_MODULE_NOT_FOUND` if `pg` is not installed
 */
export const openDatabase = async (connectionString: string): Promise<EdgeDatabase> => {
  const { default: pg } = (await import("pg")) as unknown as { readonly default: Pg }
  const connection = {
    connectionString,
    connectionTimeoutMillis: CONNECT_MS,
    // The driver gives up a little after the store does, so that no connection is lost to a query that hangs.
    query_timeout: QUERY_MS + 1_000,
    keepAlive: true,
    application_name: "project-ingress-edge",
  }
  const pool = new pg.Pool({ ...connection, max: 4 })
  // An idle connection that the server ended: the next query opens another one, and reports it if that fails.
  pool.on("error", () => undefined)
  // One that is lost in a transaction, between two statements: the next one fails. The pool listens to idle ones only.
  pool.on("connect", (connection) => connection.on("error", () => undefined))
  return {
    query: (text, values) => pool.query(text, values),
    transaction: async (run) => {
      const client = await pool.connect()
      let isBroken = false
      try {
        await client.query("begin")
        const result = await run((text, values) => client.query(text, values))
        await client.query("commit")
        return result
      } catch (cause) {
        await client.query("rollback").catch(() => (isBroken = true))
        throw cause
      } finally {
        client.release(isBroken)
      }
    },
    listen: async (channel, notify) => {
      const client = new pg.Client(connection)
      // The feed finds out by its next query, and listens again.
      client.on("error", () => undefined)
      client.on("notification", notify)
      await client.connect()
      await client.query(`listen ${channel}`)
      return () => client.end()
    },
    close: () => pool.end(),
  }
}
