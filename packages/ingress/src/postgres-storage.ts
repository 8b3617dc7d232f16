/**
 * Ingresses in Postgres.
 *
 * @module
 */
export { postgresStorage } from "./storage/postgres.ts"
export type { PostgresQuery, PostgresStorageOptions, SqlStorage } from "./storage/postgres.ts"
