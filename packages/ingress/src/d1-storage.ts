/**
 * Ingresses in D1.
 *
 * @module
 */
export { d1Storage } from "./storage/d1.ts"
export type { D1Connection, D1Statement, SqlStorage } from "./storage/d1.ts"
