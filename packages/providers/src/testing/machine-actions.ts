import type { Machine, MachineState, MachineStatus } from "../contract/machine-provider.ts"
import { equal, ok, tagged } from "./assert.ts"
import { neverAborted, requestTo } from "./context.ts"
import type { LawContext } from "./context.ts"

export const machineStates: ReadonlySet<MachineState> = new Set([
  "running",
  "starting",
  "stopping",
  "stopped",
  "suspended",
  "failed",
  "gone",
  "unknown",
])

/** The machine's status. Throws unless it is valid. */
export const statusOf = async (context: LawContext, machine = context.machine): Promise<MachineStatus> => {
  const found = await context.provider.status!(machine, { signal: neverAborted })
  ok(machineStates.has(found.state), `${found.state} is a state`)
  ok(found.detail === undefined || typeof found.detail === "string", "detail is a string")
  ok(found.uptimeMs === undefined || (found.uptimeMs >= 0 && found.uptimeMs < 1e12), "uptimeMs is an age, not a date")
  return found
}

/** Throws unless the status is `gone` or rejects with `MachineNotFound`: both are correct. */
export const isGone = async (context: LawContext, machine: Machine): Promise<void> => {
  const found = await statusOf(context, machine).catch((error: unknown) => {
    tagged(error, "MachineNotFound")
    return { state: "gone" }
  })
  equal(found.state, "gone", "the state")
}

export const start = async (context: LawContext, machine = context.machine): Promise<void> =>
  void (await context.provider.start!(machine, { signal: neverAborted }))

/** Throws unless a request reaches the machine. */
export const isReached = async (context: LawContext, fetcher = context.fetcher()): Promise<void> => {
  equal(await (await fetcher(requestTo("/who"))).text(), context.machine.id, "the machine that responded")
}

/** Stops or suspends the machine, does something, and starts it again. `down`: stops it, or suspends it where it cannot be stopped. */
export const whileDown = async (
  context: LawContext,
  hook: "stop" | "suspend" | "down",
  action: () => Promise<unknown>,
): Promise<void> => {
  const { fixture } = context
  await (hook === "down" ? (fixture.stop ?? fixture.suspend) : fixture[hook])!.call(fixture)
  try {
    await action()
  } finally {
    context.machine = await fixture.restart!()
  }
}
