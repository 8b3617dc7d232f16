/**
 * A DNS record and a route in one call, as a function and as a handler for HTTP.
 *
 * @module
 */
export type { Caller } from "../api/caller.ts"
export { createExpose } from "./create-expose.ts"
export type { Expose, ExposeEvent, ExposeOptions, ExposeRepair } from "./create-expose.ts"
export type { Exposed, ExposedRoute } from "./exposed.ts"
export type { ExposeRequest } from "./read-request.ts"
export { recordsHandler } from "./records-handler.ts"
export type { RecordsHandlerOptions } from "./records-handler.ts"
