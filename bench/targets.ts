// What the machine proxy and the router are to reach, as ratios within one run, tickets verified.
import type { Idle, Sample } from "./load.ts"
import { lowestRatio, ratio } from "./table.ts"
import type { Rounds } from "./table.ts"

export interface Outcome {
  readonly claim: string
  readonly limit: number
  readonly unit: string
  /** NaN: this run did not measure it. */
  readonly measured: number
  readonly verdict: "reached" | "missed" | "not measured"
}

const cpu = [
  ["hello", "nginx", 1.75, "14 B answers: CPU to nginx"],
  ["post16k", "nginx", 1.75, "16 KiB posts: CPU to nginx"],
  ["64k", "nginx", 1.2, "64 KiB answers: CPU to nginx"],
  ["1m", "nginx", 1.2, "1 MiB answers: CPU to nginx"],
  ["hello", "bare", 0.55, "14 B answers: CPU to bare node:http + undici"],
] as const
const hops = [
  ["hello", "router", "machine", 1.25],
  ["64k", "router", "machine", 1.25],
  ["1m", "router", "machine", 1.25],
  ["post16k", "router", "machine", 1.25],
  ["hello", "machine alone", "tcp", 1.35],
  ["post16k", "machine alone", "tcp", 1.3],
] as const
const tail = ["hello", "64k", "1m", "post16k"] as const

export const outcomes = (
  results: ReadonlyMap<string, Rounds>,
  chain: ReadonlyMap<string, Rounds>,
  held: ReadonlyMap<string, Idle>,
  connections: number,
): readonly Outcome[] => {
  const compare = (found: typeof results, scenario: string, name: string, to: string, of: keyof Sample): number => {
    const rounds = found.get(scenario) ?? new Map<string, readonly Sample[]>()
    // A run with failures has measured something else.
    if ([...(rounds.get(name) ?? []), ...(rounds.get(to) ?? [])].some(({ failed }) => failed > 0)) return Number.NaN
    return ratio(rounds, name, to, of)
  }
  const compared = (scenario: string, to: string, of: keyof Sample) => compare(results, scenario, "ours", to, of)
  const idle = held.get("ours")
  const idleKiB = idle === undefined || idle.failed > 0 ? Number.NaN : idle.kibEach
  return [
    ...cpu.map(([scenario, to, limit, claim]) => judge(claim, compared(scenario, to, "cpuMicroseconds"), limit, "×")),
    ...tail.map((scenario) => {
      const measured = connections === 64 ? compared(scenario, "nginx", "p99Ms") : Number.NaN
      return judge(`${scenario}: p99 at 64 connections to nginx`, measured, 2, "×")
    }),
    ...hops.map(([scenario, hop, to, limit]) => {
      const measured = compare(chain, scenario, hop, to, "cpuMicroseconds")
      const lowest = lowestRatio(chain.get(scenario) ?? new Map(), hop, to, "cpuMicroseconds")
      return judge(`chain, ${scenario}: CPU of ${hop} to ${to}`, measured, limit, "×", lowest)
    }),
    judge(`memory per idle WebSocket${idle === undefined ? "" : ` at ${idle.open}`}`, idleKiB, 20, "KiB"),
  ]
}

/** `lowest`: the lower end of the interval in which it is; a target is missed only when it is above. */
const judge = (claim: string, measured: number, limit: number, unit: string, lowest = measured): Outcome => {
  const verdict = Number.isNaN(measured) ? "not measured" : lowest <= limit ? "reached" : "missed"
  return { claim, limit, unit, measured, verdict }
}

export const targetList = (list: readonly Outcome[]): string =>
  list
    .map(({ claim, limit, unit, measured, verdict }) => {
      const found = Number.isNaN(measured) ? "" : `${measured.toFixed(2)} ${unit}`
      return `${verdict.padEnd(12)}  ${claim.padEnd(48)} ${found.padStart(10)}   at most ${limit} ${unit}`
    })
    .join("\n")
