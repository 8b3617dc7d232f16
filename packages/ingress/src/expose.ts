/**
 * A DNS record and a route in one call, as a function and as a handler for HTTP.
 *
 * @module
 */
export type { Caller } from "./api/caller.ts"
export { createExpose } from "./expose/create-expose.ts"
export type { Expose, ExposeEvent, ExposeOptions, ExposeRepair } from "./expose/create-expose.ts"
export type { Exposed, ExposedRoute } from "./expose/exposed.ts"
export type { ExposeRequest } from "./expose/read-request.ts"
export { recordsHandler } from "./expose/records-handler.ts"
export type { RecordsHandlerOptions } from "./expose/records-handler.ts"
