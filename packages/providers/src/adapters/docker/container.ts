import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { MachineNotFound, MachineNotRunning, MachineStarting, machineRef } from "../../contract/errors.ts"
import type { Machine, MachineState } from "../../contract/machine-provider.ts"

// Only what does not change between the versions of api-version.ts.
const Container = Schema.Struct({
  Id: Schema.String,
  State: Schema.Struct({
    Status: Schema.String,
    Running: Schema.Boolean,
    Paused: Schema.Boolean,
    Restarting: Schema.Boolean,
    Dead: Schema.optionalKey(Schema.Boolean),
    Error: Schema.optionalKey(Schema.String),
    Health: Schema.optionalKey(Schema.NullOr(Schema.Struct({ Status: Schema.optionalKey(Schema.String) }))),
    StartedAt: Schema.String,
  }),
  HostConfig: Schema.optionalKey(Schema.Struct({ NetworkMode: Schema.optionalKey(Schema.String) })),
  NetworkSettings: Schema.Struct({
    Ports: Schema.optionalKey(
      Schema.NullOr(
        Schema.Record(
          Schema.String,
          Schema.NullOr(Schema.Array(Schema.Struct({ HostIp: Schema.String, HostPort: Schema.String }))),
        ),
      ),
    ),
    Networks: Schema.optionalKey(
      Schema.NullOr(Schema.Record(Schema.String, Schema.Struct({ IPAddress: Schema.optionalKey(Schema.String) }))),
    ),
  }),
})

/** A container, as far as `GET /containers/{id}/json` is used. */
export type Container = typeof Container.Type

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Container))

/** The body of `GET /containers/{id}/json`; `undefined` when it is something else. */
export const parseContainer = (body: string): Container | undefined => {
  const decoded = decode(body)
  return Result.isSuccess(decoded) ? decoded.success : undefined
}

/** The machine's state. `Running` is true as well while a container restarts or is paused, so it is read last. */
export const containerState = ({ State }: Container): MachineState => {
  if (State.Dead === true || State.Status === "dead" || State.Status === "removing") return "gone"
  if (State.Restarting) return "starting"
  if (State.Paused) return "suspended"
  if (State.Running) return "running"
  // A failed start leaves `created` with an error: the container will not start by itself.
  if (State.Status === "created" && State.Error !== undefined && State.Error !== "") return "failed"
  return State.Status === "created" || State.Status === "exited" ? "stopped" : "unknown"
}

/** Throws what a container that does not run means: `MachineNotFound`, `MachineStarting` or `MachineNotRunning`. */
export const refuseUnlessRunning = (container: Container, machine: Machine): void => {
  const state = containerState(container)
  if (state === "running") return
  if (state === "gone") throw new MachineNotFound(machineRef(machine))
  if (state === "starting") throw new MachineStarting(machineRef(machine))
  throw new MachineNotRunning({ ...machineRef(machine), state: container.State.Status })
}

/**
 * How long a container has been up, in ms. A health check that is still starting counts as 0, so that failures are read as
 * a start; it never decides whether a request is sent.
 */
export const containerUptimeMs = ({ State }: Container): number =>
  State.Health?.Status === "starting" ? 0 : Math.max(0, Date.now() - Date.parse(State.StartedAt) || 0)
