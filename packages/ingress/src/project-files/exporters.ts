import type { Exporters } from "./project-front.ts"
import { zoneRecords } from "./zone-records.ts"

/** Every front and unit file of this package, by the name that the command knows it under. */
export const exporters: Exporters = {
  fronts: {
    zone: {
      isProxy: false,
      requires: ["routerIP"],
      // Without it nothing is generated: see `requires`.
      export: (input, { settings }) => zoneRecords(input, settings?.routerIP ?? ""),
    },
  },
  units: {},
}
