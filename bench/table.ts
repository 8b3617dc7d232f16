import type { Idle, Sample } from "./load.ts"

/** Rounds of one scenario by peer, in the order they ran: a round's samples stand at the same index. */
export type Rounds = ReadonlyMap<string, readonly Sample[]>

export const median = (values: readonly number[]): number => {
  const sorted = values.filter((value) => !Number.isNaN(value)).toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * How two peers compare: the median over rounds of the ratio within a round, since what disturbs a machine for seconds
 * disturbs both alike.
 */
export const ratio = (rounds: Rounds, peer: string, to: string, of: keyof Sample): number =>
  median(ratios(rounds, peer, to, of))

/** The lower end of the interval in which the median of all such ratios is with 95 %, by the ranks of those that were measured. */
export const lowestRatio = (rounds: Rounds, peer: string, to: string, of: keyof Sample): number => {
  const sorted = ratios(rounds, peer, to, of).toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.floor((sorted.length - 1.96 * Math.sqrt(sorted.length)) / 2))] ?? Number.NaN
}

const ratios = (rounds: Rounds, peer: string, to: string, of: keyof Sample): readonly number[] => {
  const base = rounds.get(to) ?? []
  return (rounds.get(peer) ?? []).map((sample, round) => sample[of] / (base[round]?.[of] ?? Number.NaN))
}

const decimals = (value: number, digits: number): string => (Number.isNaN(value) ? "–" : value.toFixed(digits))
/** Three significant digits, and no more than a measurement has. */
const figure = (value: number): string => decimals(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)

/** Columns aligned, and Markdown at once. */
const lay = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const width = head.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(width[0]!) : cell.padStart(width[column]!))).join(" | ")} |`
  const rule = width.map((columns, column) => (column === 0 ? "-".repeat(columns) : `${"-".repeat(columns - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join("\n")
}

export const scenarioTable = (rounds: Rounds, what: "request" | "message"): string => {
  const failures = [...rounds.values()].flat().some(({ failed }) => failed > 0)
  const head = [`peer`, `${what}s/s`, `CPU µs/${what}`, "× nginx", "× bare", "p50 ms", "p99 ms", "p99 × nginx", "MiB"]
  if (failures) head.push("failed")
  const rows = [...rounds].map(([name, samples]) => {
    const of = (key: keyof Sample): number => median(samples.map((sample) => sample[key]))
    const row = [
      name,
      decimals(of("perSecond"), 0),
      figure(of("cpuMicroseconds")),
      decimals(ratio(rounds, name, "nginx", "cpuMicroseconds"), 2),
      decimals(ratio(rounds, name, "bare", "cpuMicroseconds"), 2),
      decimals(of("p50Ms"), 2),
      decimals(of("p99Ms"), 2),
      decimals(ratio(rounds, name, "nginx", "p99Ms"), 2),
      decimals(of("residentMiB"), 0),
    ]
    if (failures) row.push(String(samples.reduce((sum, { failed }) => sum + failed, 0)))
    return row
  })
  return lay(head, rows)
}

export const idleTable = (held: ReadonlyMap<string, Idle>): string =>
  lay(
    ["peer", "open", "failed", "MiB before", "MiB with them", "KiB each"],
    [...held].map(([name, idle]) => [
      name,
      String(idle.open),
      String(idle.failed),
      decimals(idle.beforeMiB, 0),
      decimals(idle.afterMiB, 0),
      figure(idle.kibEach),
    ]),
  )

/** CPU µs of every peer in every scenario. */
export const summaryTable = (results: ReadonlyMap<string, Rounds>): string => {
  const names = [...new Set(Array.from(results.values(), (rounds) => [...rounds.keys()]).flat())]
  return lay(
    ["CPU µs", ...results.keys()],
    names.map((name) => {
      const cell = (rounds: Rounds): string =>
        figure(median((rounds.get(name) ?? []).map(({ cpuMicroseconds }) => cpuMicroseconds)))
      return [name].concat(Array.from(results.values(), cell))
    }),
  )
}

/** What is compared in the chain: the first to the second. */
const compared = [
  ["router", "machine"],
  ["machine alone", "tcp"],
  ["router", "nginx"],
  ["machine alone", "nginx"],
  ["tcp", "nginx"],
] as const

/** How the hops of the chain compare in every scenario: CPU, the median over rounds with the lowest and the highest. */
export const chainTable = (results: ReadonlyMap<string, Rounds>): string =>
  lay(
    ["CPU", ...results.keys()],
    compared.map(([hop, to]) => {
      const cell = (rounds: Rounds): string => {
        const found = ratios(rounds, hop, to, "cpuMicroseconds")
        return `${decimals(median(found), 2)} (${decimals(Math.min(...found), 2)}–${decimals(Math.max(...found), 2)})`
      }
      return [`${hop} / ${to}`].concat(Array.from(results.values(), cell))
    }),
  )
