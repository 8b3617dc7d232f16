import type { MachineState } from "../../contract/machine-provider.ts"

/** The state that an event leaves a container in. `kill` is only a signal, and a health check changes none of these. */
const stateAfter: Readonly<Record<string, MachineState>> = {
  start: "running",
  restart: "running",
  unpause: "running",
  die: "stopped",
  stop: "stopped",
  pause: "suspended",
  destroy: "gone",
}

/** A change of one container, as the engine reports it. */
export interface EngineEvent {
  /** Its id and its name. */
  readonly names: readonly string[]
  readonly state: MachineState
  /** In ns since 1970. */
  readonly at: bigint | undefined
}

/** Reads one line of the event stream; `undefined` for anything that is not a change of state, because events are a hint. */
export const parseEvent = (line: string): EngineEvent | undefined => {
  let event: { Action?: unknown; Actor?: { ID?: unknown; Attributes?: { name?: unknown } } } | null
  try {
    event = JSON.parse(line) as typeof event
  } catch {
    return undefined
  }
  const { Action, Actor } = event ?? {}
  if (typeof Action !== "string" || !Object.hasOwn(stateAfter, Action)) return undefined
  const names = [Actor?.ID, Actor?.Attributes?.name].filter((name) => typeof name === "string")
  // More digits than a number holds, so it is read from the text.
  const at = /"timeNano":(\d+)/.exec(line)?.[1]
  return { names, state: stateAfter[Action]!, at: at === undefined ? undefined : BigInt(at) }
}

/** The request path for changes of containers after a moment, in ns since 1970; without one, from now on. */
export const eventsPath = (after: bigint | undefined): string => {
  const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: Object.keys(stateAfter) }))
  // `since` is inclusive, in seconds with the nanoseconds as a fraction.
  const next = after === undefined ? undefined : (after + 1n).toString().padStart(10, "0")
  return `/events?filters=${filters}${next === undefined ? "" : `&since=${next.slice(0, -9)}.${next.slice(-9)}`}`
}
