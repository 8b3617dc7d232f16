import type { ProbeResult } from "./probe-machine.ts"

/** The new machine did not respond as expected in time, or no longer does. */
export class MachineNotReady extends Error {
  readonly _tag = "MachineNotReady"
  override readonly name = "MachineNotReady"
  /** The id of the machine that was to be attached. */
  readonly machine: string
  /**
   * Which machine the project leads to: `kept`, the old one as before; `rolled-back`, the old one again, because the new one failed while
   * the old one was drained; `not-rolled-back`, still the new one, because the project could not be attached to the old one again (`cause`).
   */
  readonly state: "kept" | "rolled-back" | "not-rolled-back"
  /** The last probe; absent where none was over in time. */
  readonly last: ProbeResult | undefined
  /** How many probes there were. */
  readonly attempts: number
  constructor(fields: {
    readonly machine: string
    readonly state: MachineNotReady["state"]
    readonly last: ProbeResult | undefined
    readonly attempts: number
    readonly cause?: unknown
  }) {
    const { machine, state, last, attempts, cause } = fields
    const found = last === undefined ? "no response" : (last.error ?? `status ${last.status}`)
    super(
      `machine ${machine} ${state === "kept" ? "is not ready" : "failed after it was attached"}: ${found} after ${attempts} probes`,
      cause === undefined ? undefined : { cause },
    )
    this.machine = machine
    this.state = state
    this.last = last
    this.attempts = attempts
  }
}
