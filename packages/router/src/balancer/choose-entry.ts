import { pick } from "../program/candidates.ts"
import type { Candidate, Candidates } from "../program/candidates.ts"
import type { Balance } from "../stores/record.ts"
import { isDue, isWell, startTrial } from "./machine-state.ts"
import type { MachineState } from "./machine-state.ts"

/** A machine of a route, and how it is. */
export interface Entry extends Candidate {
  readonly state: MachineState
}

/** How many machines are named in a reason. */
const MAX_NAMED = 3

/** The entry that is chosen now, and why. Changes no state. `tried`: those that the request was sent to before. */
export const chooseEntry = (
  entries: readonly Entry[],
  { seed, record: { balance = "sticky" } }: Omit<Candidates, "candidates">,
  tried: ReadonlySet<MachineState>,
  now: number,
): { readonly entry: Entry; readonly usable: readonly Entry[]; readonly reason: string } => {
  const untried = entries.filter(({ state }) => !tried.has(state))
  const left = untried.length > 0 ? untried : entries
  const anyWell = left.some(({ state }) => isWell(state))
  // Where none is well, all are used: one of them may be by now.
  const usable = anyWell ? left.filter(({ state }) => isWell(state) || isDue(state, now)) : left
  const reason = words[balance] + ofHowMany(entries, usable, tried, anyWell)
  return { entry: rules[balance](usable, seed), usable, reason }
}

/** Takes a choice: the turns are counted, and a machine that was ejected is on trial. */
export const takeChoice = (
  entries: readonly Entry[],
  { entry, usable }: Pick<ReturnType<typeof chooseEntry>, "entry" | "usable">,
  now: number,
): void => {
  // A machine that is new, or was away, has its next turn with the others, and not all that it missed.
  const from = leastTurns(usable)
  for (const { state } of entries) state.turns = Math.max(state.turns ?? from, from)
  entry.state.turns! += 1 / entry.weight
  if (isDue(entry.state, now)) startTrial(entry.state, now)
}

const leastTurns = (entries: readonly Entry[]): number => {
  const known = entries.flatMap(({ state: { turns } }) => (turns === undefined ? [] : [turns]))
  return known.length === 0 ? 0 : Math.min(...known)
}

/** The first of those with the least. */
const least = (entries: readonly Entry[], of: (entry: Entry) => number): readonly Entry[] => {
  const min = Math.min(...entries.map(of))
  return entries.filter((entry) => of(entry) === min)
}

const inTurn = (entries: readonly Entry[]): Entry => {
  const from = leastTurns(entries)
  return least(entries, ({ state }) => state.turns ?? from)[0]!
}

const rules: Readonly<Record<Balance, (entries: readonly Entry[], seed: string | undefined) => Entry>> = {
  sticky: pick,
  "round-robin": inTurn,
  "least-requests": (entries) => inTurn(least(entries, ({ state, weight }) => state.open / weight)),
}

const words: Readonly<Record<Balance, string>> = {
  sticky: "by client address",
  "round-robin": "in turn",
  "least-requests": "for the fewest requests in flight",
}

/** How many there were to choose from, and why not the others. */
const ofHowMany = (
  entries: readonly Entry[],
  usable: readonly Entry[],
  tried: ReadonlySet<MachineState>,
  anyWell: boolean,
): string => {
  if (usable.length === entries.length) return ` of ${entries.length}${anyWell ? "" : ", none of which is well"}`
  const left = entries.filter((entry) => !usable.includes(entry))
  const named = left
    .slice(0, MAX_NAMED)
    .map(({ machine: { id }, state }) => `${id} (${tried.has(state) ? "tried" : (state.reason ?? "not well")})`)
  const more = left.length > MAX_NAMED ? ` and ${left.length - MAX_NAMED} more` : ""
  return ` of ${usable.length} of ${entries.length}, without ${named.join(", ")}${more}`
}
