/**
 * The router's program with its services, for Effect users: provide `Routes` and `Machines`, and run it over a transport of
 * your own. `createRouter` runs the very same program.
 */
export { Machines } from "@project-ingress/providers/effect"
export { handle } from "./program/handle.ts"
export type { Handled, Settings } from "./program/handle.ts"
export type { Exchange, Inbound, Outgoing } from "./program/exchange.ts"
export { explain } from "./program/explain.ts"
export { layerMemory, layerStore } from "./layers.ts"
export { Routes } from "./stores/routes.ts"
export type { RouterError } from "./errors.ts"
