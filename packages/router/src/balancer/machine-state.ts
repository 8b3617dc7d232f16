/** What is known of one port of one machine. Plain data that requests share. Times by `monotonicNow`. */
export interface MachineState {
  /** Requests that were sent there and whose responses have not ended. */
  open: number
  /** How often it was its turn, by weight; `undefined` before the first time. */
  turns: number | undefined
  /** Failures in a row. */
  failures: number
  /** How often it was ejected in a row. */
  ejections: number
  /** When it is to be tried again. */
  until: number
  /** A request was sent there to find out whether it is well again. */
  onTrial: boolean
  /** Its health check says that it is not well. */
  unwell: boolean
  /** Health checks in a row that passed, and that did not. */
  passed: number
  missed: number
  /** Why it is not well. */
  reason: string | undefined
  /** What was last reported of it: nothing if it is well. */
  reported: "ejected" | "kept" | undefined
}

/** How many failures in a row eject a machine. */
export const MAX_FAILURES = 5
/** How many health checks in a row count, either way. */
export const CHECKS_THAT_COUNT = 2
/** For how long a machine is ejected the first time, in ms; twice as long each time after that. */
const EJECTED_MS = 5_000
const MAX_EJECTED_MS = 300_000
/** How long after an ejection another one counts as the next in a row, in ms. */
const SAME_OUTAGE_MS = 60_000
/** Machines that were ejected together are not tried together. */
const JITTER = 0.25

export const newMachineState = (): MachineState => ({
  open: 0,
  turns: undefined,
  failures: 0,
  ejections: 0,
  until: 0,
  onTrial: false,
  unwell: false,
  passed: 0,
  missed: 0,
  reason: undefined,
  reported: undefined,
})

export const isWell = ({ failures, unwell }: MachineState): boolean => failures < MAX_FAILURES && !unwell

/** Whether a machine that failed may be tried again. */
export const isDue = ({ failures, unwell, until }: MachineState, now: number): boolean =>
  !unwell && failures >= MAX_FAILURES && until <= now

/** A machine is tried by one request at a time, or all of them would wait for one that is not there. */
export const startTrial = (state: MachineState, now: number): void => {
  state.onTrial = true
  // One whose client leaves tells nothing.
  state.until = now + EJECTED_MS
}

/** A request failed there. `others`: whether another machine of the route is well, without which none is ejected. */
export const failed = (state: MachineState, reason: string, others: boolean, now: number): void => {
  state.failures++
  state.reason = reason
  const isOver = state.onTrial || state.until <= now
  state.onTrial = false
  // What was sent before it was ejected fails later, and says nothing new.
  if (state.failures < MAX_FAILURES || !others || !isOver) return
  state.ejections = state.ejections > 0 && now - state.until > SAME_OUTAGE_MS ? 1 : state.ejections + 1
  const ms = Math.min(EJECTED_MS * 2 ** (state.ejections - 1), MAX_EJECTED_MS)
  state.until = now + ms * (1 - JITTER + 2 * JITTER * Math.random())
}

/** A machine responded: whatever its app says, it is there. */
export const succeeded = (state: MachineState): void => {
  state.failures = 0
  state.onTrial = false
}

/** What a health check found. */
export const checked = (state: MachineState, problem: string | undefined): void => {
  if (problem === undefined) {
    state.missed = 0
    if (++state.passed >= CHECKS_THAT_COUNT) state.unwell = false
    return
  }
  state.passed = 0
  if (++state.missed < CHECKS_THAT_COUNT) return
  state.unwell = true
  state.reason = problem
}
