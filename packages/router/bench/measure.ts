import { candidates, defineGrammar } from "@project-ingress/hostname"
import type { RouteKey } from "../src/stores/record.ts"
import type { FirstLookup, Lookup } from "../src/stores/route-store.ts"

/** A store that knows at once. */
export interface SyncStore {
  readonly get: (key: RouteKey) => Lookup
  readonly getFirst: (keys: readonly RouteKey[]) => FirstLookup
}

const LOOKUPS = 200_000
const ROUNDS = 5
/** Rounds before, in which code is compiled. */
const WARM_UP = -2

/** Keys to look up. */
export interface LookupKeys {
  /** Of a whole table, each once, in no order: nothing is in a cache of the processor, nothing unpacked. */
  readonly scattered: readonly RouteKey[]
  /** The first thousand of them. */
  readonly hot: readonly RouteKey[]
  /** As many that are in no table. */
  readonly absent: readonly RouteKey[]
}

export const lookupKeys = (keys: readonly RouteKey[]): LookupKeys => {
  const step = Math.max(1, Math.floor(keys.length / LOOKUPS))
  const spread = keys.filter((_, at) => at % step === 0)
  const scattered = spread.map((_, at) => spread[(at * 7_919) % spread.length]!)
  return { scattered, hot: scattered.slice(0, 1_000), absent: scattered.map((key): RouteKey => `${key}x`) }
}

/** The processor time of this thread: other programs do not count. */
const cpuNs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) * 1000
}

/** ns for each of `lookups` that a round makes, the median of some rounds. */
export const timedRounds = (lookups: number, makeRound: () => void): number => {
  const samples: number[] = []
  for (let round = WARM_UP; round < ROUNDS; round++) {
    const began = cpuNs()
    makeRound()
    if (round >= 0) samples.push((cpuNs() - began) / lookups)
  }
  return samples.toSorted((one, other) => one - other)[ROUNDS >> 1]!
}

/** ns for each of many look-ups. */
export const timed = (store: SyncStore, keys: readonly RouteKey[], expected: string): number =>
  timedRounds(LOOKUPS, () => {
    let seen = 0
    for (let at = 0; at < LOOKUPS; at++) if (store.get(keys[at % keys.length]!).status === expected) seen += 1
    if (seen !== LOOKUPS) throw new Error(`${LOOKUPS - seen} look-ups were no ${expected}`)
  })

export interface Paused<A> {
  readonly result: A
  /** The longest time in ms in which nothing else ran: of the clock, and of this thread's processor time. */
  readonly longest: number
  readonly longestCpu: number
  readonly took: number
}

export const paused = async <A>(work: () => Promise<A>): Promise<Paused<A>> => {
  let longest = 0
  let longestCpu = 0
  let runs = true
  let at = performance.now()
  let cpu = cpuNs()
  const look = (): void => {
    const now = performance.now()
    const cpuNow = cpuNs()
    longest = Math.max(longest, now - at)
    longestCpu = Math.max(longestCpu, (cpuNow - cpu) / 1e6)
    at = now
    cpu = cpuNow
    if (runs) setImmediate(look)
  }
  setImmediate(look)
  const began = performance.now()
  const result = await work()
  const took = performance.now() - began
  runs = false
  look()
  return { result, longest, longestCpu, took }
}

const grammar = defineGrammar({ domains: ["iterate.app"] })

/** From a hostname to its record. */
export const keyAndHit = (store: SyncStore, keys: readonly RouteKey[]): number => {
  const hosts = keys.filter((key) => key.startsWith("p:")).map((key) => `4096__${key.slice(2)}.iterate.app`)
  return timedRounds(LOOKUPS, () => {
    for (let at = 0; at < LOOKUPS; at++) {
      const tried = candidates(grammar, hosts[at % hosts.length]!)
      if (!Array.isArray(tried)) throw new Error("no hostname")
      const found = store.getFirst(tried.map(({ key }) => key))
      if (found.status !== "hit") throw new Error("a hostname without a record")
    }
  })
}
