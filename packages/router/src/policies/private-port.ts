import type { Visibility } from "../stores/record.ts"
import type { Route } from "./policy.ts"

/** Whether a route needs a visitor who may open it: its own setting, else what the policy takes an absent one for. */
export const isPrivate = ({ settings }: Pick<Route, "settings">, absent: Visibility): boolean =>
  (settings.visibility ?? absent) === "private"
