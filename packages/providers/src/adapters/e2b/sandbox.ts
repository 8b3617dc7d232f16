import * as Schema from "effect/Schema"
import type { MachineState } from "../../contract/machine-provider.ts"

/** A sandbox in the API: the fields that are used. */
export const Sandbox = Schema.Struct({
  state: Schema.String,
  startedAt: Schema.String,
  domain: Schema.optionalKey(Schema.NullOr(Schema.String)),
  network: Schema.optionalKey(Schema.NullOr(Schema.Struct({ allowPublicTraffic: Schema.optionalKey(Schema.Boolean) }))),
})
export type Sandbox = typeof Sandbox.Type

/** The API has two states: one that is being paused counts as paused, and one that is being killed as gone. */
export const stateOf = ({ state }: Sandbox): MachineState =>
  state === "running" ? "running" : state === "paused" ? "suspended" : "unknown"

/** How long it has been up, by its latest start. */
export const uptimeOf = ({ state, startedAt }: Sandbox): { readonly uptimeMs?: number } => {
  const since = Date.parse(startedAt)
  return state !== "running" || Number.isNaN(since) ? {} : { uptimeMs: Math.max(0, Date.now() - since) }
}
