/**
 * The router's program with its services, for Effect users: provide `Routes` and `Machines`, and run it over a sender of your
 * own. `createRouter` runs the very same program.
 */
import * as Layer from "effect/Layer"
import { memoryStore } from "./stores/memory.ts"
import type { RouteInput } from "./stores/memory.ts"
import type { RouteKey } from "./stores/record.ts"
import type { RouteStore } from "./stores/route-store.ts"
import { fromStore, Routes } from "./stores/routes.ts"

export { Machines } from "@project-ingress/providers/effect"
export type { RouterError } from "./errors.ts"
export { explain } from "./program/explain.ts"
export { handle } from "./program/handle.ts"
export type { Handled, RouterSettings } from "./program/handle.ts"
export { resolveRoute } from "./program/resolve-route.ts"
export type { MachineRequest, Sender, VisitorRequest } from "./program/sender.ts"
export { Routes }

/** `Routes` from any store. */
export const layerStore = (store: RouteStore): Layer.Layer<Routes> => Layer.succeed(Routes, fromStore(store))

/** `Routes` as written by hand, for a test. Throws as `memoryStore` does when it is built. */
export const layerMemory = (routes: Readonly<Partial<Record<RouteKey, RouteInput>>>): Layer.Layer<Routes> =>
  Layer.sync(Routes, () => fromStore(memoryStore(routes)))
