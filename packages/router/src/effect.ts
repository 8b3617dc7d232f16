/**
 * The router's program with its services, for Effect users: provide `Routes` and `Machines`, and run it over a transport of
 * your own. `createRouter` runs the very same program.
 */
export { Machines } from "@project-ingress/providers/effect"
export { handle } from "./handle.ts"
export type { Handled, Settings } from "./handle.ts"
export type { Exchange, Inbound, Outgoing } from "./inbound.ts"
export { explain } from "./explain.ts"
export { layerMemory, layerStore } from "./layers.ts"
export { Routes } from "./routes.ts"
export type { RouterError } from "./errors.ts"
