import { makeDividedTable, monotonicNow, repeatedReport } from "@project-ingress/forward/internal"
import type { BalancerHost, MachineHealthEvent } from "../program/balancing.ts"
import type { Candidate } from "../program/candidates.ts"
import { projectShare } from "../stores/project-share.ts"
import type { RouteRecord } from "../stores/record.ts"
import type { Entry } from "./choose-entry.ts"
import { checked, failed, isWell, newMachineState, succeeded } from "./machine-state.ts"
import type { MachineState } from "./machine-state.ts"

/** The machines of one route, and whose they are. */
export interface Entries {
  readonly entries: readonly Entry[]
  readonly share: string
  readonly owner: string | undefined
}

/**
 * The health of each port of each machine that could have been chosen. Divided by owner, so that no owner's machines push out
 * another's.
 */
export interface HealthTable {
  /** The machines with what is known of them. `keep`: whether the table remembers those of which nothing is known yet. */
  readonly of: (record: RouteRecord, candidates: readonly Candidate[], keep: boolean) => Entries
  /** Whether the table still has the state of an entry: it may have forgotten the machine since. */
  readonly holds: (of: Entries, entry: Entry) => boolean
  readonly failed: (of: Entries, entry: Entry, reason: string) => void
  readonly succeeded: (of: Entries, entry: Entry) => void
  /** What a health check found; `undefined`: nothing wrong. */
  readonly checked: (of: Entries, entry: Entry, problem: string | undefined) => void
}

export const makeHealthTable = (report: BalancerHost["report"]): HealthTable => {
  const states = makeDividedTable<MachineState>()
  const reportOften = repeatedReport<Omit<MachineHealthEvent, "type" | "count">>((subject, count) =>
    report({ type: "machine_health", ...subject, count }),
  )

  /** Reports whether a machine is well, if that has changed. */
  const settle = (of: Entries, { state, machine, port }: Entry): void => {
    const now = isWell(state) ? undefined : hasOther(of, state) ? "ejected" : "kept"
    // One that is ejected stays so in what is reported, whatever becomes of the others.
    if (state.reported === now || (state.reported === "ejected" && now === "kept")) return
    state.reported = now
    const { owner, share } = of
    reportOften(JSON.stringify([share, machine.id, now]), {
      state: now ?? "returned",
      provider: machine.type,
      machine: machine.id,
      port,
      ...(owner === undefined ? {} : { owner }),
      ...(now === undefined || state.reason === undefined ? {} : { reason: state.reason }),
    })
  }

  return {
    of(record, candidates, keep) {
      const share = projectShare(record, record.kind)
      const entries = candidates.map((candidate) => {
        const of = entryKey(share, candidate)
        const state = states.get(of) ?? newMachineState()
        // Each time, as the newest: visitors choose ports, and those that nobody else asks for are to be forgotten first.
        if (keep) states.set(of, state)
        return { ...candidate, state }
      })
      return { entries, share, owner: record.owner }
    },
    holds: ({ share }, entry) => states.get(entryKey(share, entry)) === entry.state,
    failed(of, entry, reason) {
      failed(entry.state, reason, hasOther(of, entry.state), monotonicNow())
      settle(of, entry)
    },
    succeeded(of, entry) {
      succeeded(entry.state)
      settle(of, entry)
    },
    checked(of, entry, problem) {
      checked(entry.state, problem)
      settle(of, entry)
    },
  }
}

/** By its id, which the platform gives to one machine: two tenants' machines at one address are two. */
const entryKey = (share: string, { machine, port }: Candidate) => ({ share, key: `${port} ${machine.id}` })

/** Whether another machine of the route is well. */
const hasOther = ({ entries }: Entries, state: MachineState): boolean =>
  entries.some((other) => other.state !== state && isWell(other.state))
