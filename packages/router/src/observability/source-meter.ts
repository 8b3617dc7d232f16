import { closedLabel } from "@project-ingress/forward/internal"
import type { Instruments } from "@project-ingress/forward/internal"
import type { InvalidRowsEvent, RouteSourceEvent } from "../stores/store-event.ts"
import { layerLabel } from "./router-meter.ts"

// A store of somebody else's may report anything.
const stateLabel = closedLabel(["loaded", "stale", "refused", "failing", "recovered", "not_saved"])

/** Counts what stores report of the sources that they read. */
export const sourceMeter = ({
  counter,
  gauge,
}: Instruments): ((event: RouteSourceEvent | InvalidRowsEvent) => void) => {
  const events = counter("ingress_route_source_events_total", "What happened between a store and its source")
  const up = gauge("ingress_route_source_up", "1 while a store can read its source, else 0")
  const routes = gauge("ingress_routes", "How many routes a store serves, as of its last event")
  const invalid = gauge(
    "ingress_invalid_rows",
    "Rows of a table that lead nowhere, because a value in each cannot be used",
  )
  return (event) => {
    const layer = layerLabel(event.layer)
    if (event.type === "invalid_rows") {
      invalid(event.count, { layer })
      return
    }
    events(1, { layer, state: stateLabel(event.state) })
    if (event.routes !== undefined) routes(event.routes, { layer })
    // A copy that cannot be kept says nothing of the source.
    if (event.state !== "not_saved") up(event.state === "loaded" || event.state === "recovered" ? 1 : 0, { layer })
  }
}
