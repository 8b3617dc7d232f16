import * as Schema from "effect/Schema"

/** A machine in the Machines API: the fields that are used, of about fifty. */
export const FlyMachine = Schema.Struct({
  state: Schema.String,
  host_status: Schema.optionalKey(Schema.String),
  events: Schema.optionalKey(
    Schema.NullOr(
      Schema.Array(
        Schema.Struct({
          status: Schema.optionalKey(Schema.String),
          timestamp: Schema.optionalKey(Schema.Number),
        }),
      ),
    ),
  ),
})
export type FlyMachine = typeof FlyMachine.Type

/** How long a machine has been up, in ms, by its latest start; `undefined` when no start is listed. */
export const uptimeMsOf = ({ events }: FlyMachine): number | undefined => {
  const starts = (events ?? []).flatMap(({ status, timestamp }) =>
    status === "started" && timestamp !== undefined ? [timestamp] : [],
  )
  return starts.length === 0 ? undefined : Math.max(0, Date.now() - Math.max(...starts))
}
