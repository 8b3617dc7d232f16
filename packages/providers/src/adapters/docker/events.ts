import type { MachineState } from "../../contract/machine-provider.ts"

/** What an event leaves a container in. `kill` is only a signal, and a health check is none of these. */
const stateAfter: Readonly<Record<string, MachineState>> = {
  start: "running",
  restart: "running",
  unpause: "running",
  die: "stopped",
  stop: "stopped",
  pause: "suspended",
  destroy: "gone",
}

/** What the engine tells of one container. */
export interface EngineEvent {
  /** Its id and its name. */
  readonly names: readonly string[]
  readonly state: MachineState
  /** In ns since 1970. */
  readonly at: bigint | undefined
}

/** One line of the answer; `undefined` when it says something else: events are a hint. */
export const eventOf = (line: string): EngineEvent | undefined => {
  let event: { Action?: unknown; Actor?: { ID?: unknown; Attributes?: { name?: unknown } } }
  try {
    event = JSON.parse(line) as typeof event
  } catch {
    return undefined
  }
  const { Action, Actor } = event
  if (typeof Action !== "string" || !Object.hasOwn(stateAfter, Action)) return undefined
  const names = [Actor?.ID, Actor?.Attributes?.name].filter((name) => typeof name === "string")
  // More digits than a number holds, so it is read as text.
  const at = /"timeNano":(\d+)/.exec(line)?.[1]
  return { names, state: stateAfter[Action]!, at: at === undefined ? undefined : BigInt(at) }
}

/** The question for all that happens to containers from a moment on, in ns since 1970; without one, from now on. */
export const eventsSince = (told: bigint | undefined): string => {
  const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: Object.keys(stateAfter) }))
  // `since` is inclusive, with the nanoseconds as a fraction.
  const next = told === undefined ? undefined : (told + 1n).toString().padStart(10, "0")
  return `/events?filters=${filters}${next === undefined ? "" : `&since=${next.slice(0, -9)}.${next.slice(-9)}`}`
}
