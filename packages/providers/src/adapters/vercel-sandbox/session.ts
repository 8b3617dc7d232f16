import * as Schema from "effect/Schema"
import type { MachineState } from "../../contract/machine-provider.ts"

/** A sandbox in the API: the fields that are used. */
export const Found = Schema.Struct({
  // The present one, or the last: a sandbox runs in sessions, each with addresses of its own.
  session: Schema.Struct({
    id: Schema.String,
    status: Schema.String,
    timeout: Schema.Number,
    createdAt: Schema.Number,
    startedAt: Schema.optionalKey(Schema.Number),
  }),
  // Whether this request started it.
  resumed: Schema.optionalKey(Schema.Boolean),
  routes: Schema.Array(Schema.Struct({ subdomain: Schema.String, port: Schema.Number })),
})
export type Found = typeof Found.Type

/** Vercel's name of a state, translated. */
export const stateOf = ({ status }: Found["session"]): MachineState =>
  Object.hasOwn(states, status) ? states[status]! : "unknown"

const states: Readonly<Record<string, MachineState>> = {
  pending: "starting",
  running: "running",
  stopping: "stopping",
  // It stops when the snapshot is made.
  snapshotting: "stopping",
  stopped: "stopped",
  aborted: "stopped",
  failed: "failed",
}

/** How long the session has been up. */
export const uptimeOf = ({ status, startedAt }: Found["session"]): { readonly uptimeMs?: number } =>
  status !== "running" || startedAt === undefined ? {} : { uptimeMs: Math.max(0, Date.now() - startedAt) }
