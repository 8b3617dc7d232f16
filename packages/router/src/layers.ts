import * as Layer from "effect/Layer"
import { fromStore, Routes } from "./stores/routes.ts"
import type { RouteKey } from "./stores/record.ts"
import type { RouteStore } from "./stores/route-store.ts"
import { memoryStore } from "./stores/memory.ts"
import type { RouteInput } from "./stores/memory.ts"

/** `Routes` from any store. */
export const layerStore = (store: RouteStore): Layer.Layer<Routes> => Layer.succeed(Routes, fromStore(store))

/** `Routes` that are written down, as for a test. */
export const layerMemory = (routes: Readonly<Partial<Record<RouteKey, RouteInput>>>): Layer.Layer<Routes> =>
  Layer.sync(Routes, () => fromStore(memoryStore(routes)))
