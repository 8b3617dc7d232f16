import { codeOf, LookupFailed } from "./store-health.ts"

/** The SQLSTATE of Postgres for a table that does not exist. */
const UNDEFINED_TABLE = "42P01"

/** A failure of a registry's database; of tables that are missing, one that says what to do, also in events. `whose`: for its message. */
export const orMissingTables = (cause: unknown, whose = "the registry's"): unknown =>
  codeOf(cause) === UNDEFINED_TABLE || (cause instanceof Error && /no such table: project_ingress_/.test(cause.message))
    ? new LookupFailed(`${whose} tables are not there: call its migrate() first`, { cause })
    : cause
