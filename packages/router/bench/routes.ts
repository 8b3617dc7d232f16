// pnpm bench routes [count …]: the packed route table. Size, time of a look-up, and the longest pause while it is loaded.
import { candidates, defineGrammar } from "@project-ingress/hostname"
import { openPacked, packedStore, packRoutes } from "../src/stores/packed.ts"
import type { PackedStore } from "../src/stores/packed.ts"
import type { RouteKey } from "../src/stores/record.ts"
import { referenceRoutes } from "./reference-routes.ts"

const given = process.argv.slice(2).map(Number)
if (given.some((count) => !Number.isSafeInteger(count) || count < 1_000)) {
  console.error("pnpm bench routes [count …]: counts of routes, integers from 1000 up")
  process.exit(2)
}
const counts = given.length > 0 ? given : [10_000, 100_000, 1_000_000]
const LOOKUPS = 200_000
const ROUNDS = 5
/** Rounds before, in which code is compiled. */
const WARM_UP = -2

/** The processor time of this thread: other programs do not count. */
const cpuNs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) * 1000
}

/** ns for each of many look-ups, the median of some rounds. */
const timed = (store: PackedStore, keys: readonly RouteKey[], expected: string): number => {
  const samples: number[] = []
  for (let round = WARM_UP; round < ROUNDS; round++) {
    let seen = 0
    const began = cpuNs()
    for (let at = 0; at < LOOKUPS; at++) if (store.get(keys[at % keys.length]!).status === expected) seen += 1
    if (round >= 0) samples.push((cpuNs() - began) / LOOKUPS)
    if (seen !== LOOKUPS) throw new Error(`${LOOKUPS - seen} look-ups were no ${expected}`)
  }
  return samples.toSorted((one, other) => one - other)[ROUNDS >> 1]!
}

interface Paused<A> {
  readonly result: A
  /** The longest time in ms in which nothing else ran: of the clock, and of this thread's processor time. */
  readonly longest: number
  readonly longestCpu: number
  readonly took: number
}

const paused = async <A>(work: () => Promise<A>): Promise<Paused<A>> => {
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

const measure = async (count: number): Promise<Record<string, number>> => {
  const keys: RouteKey[] = []
  function* routes(): ReturnType<typeof referenceRoutes> {
    for (const route of referenceRoutes(count)) {
      keys.push(route[0])
      yield route
    }
  }
  const packing = await paused(() => packRoutes(routes()))
  const bytes = packing.result
  const opening = await paused(() => openPacked(bytes))
  const image = opening.result
  const store = packedStore(image)

  // Every key of a table once, in no order: nothing is in a cache of the processor, nothing unpacked.
  const step = Math.max(1, Math.floor(keys.length / LOOKUPS))
  const spread = keys.filter((_, at) => at % step === 0)
  const scattered = spread.map((_, at) => spread[(at * 7_919) % spread.length]!)
  const hot = scattered.slice(0, 1_000)
  const absent = scattered.map((key): RouteKey => `${key}x`)
  const cold = packedStore(image, { unpacked: 0 })
  const result = {
    routes: image.routes,
    "bytes/route": bytes.length / image.routes,
    "hit, hot ns": timed(store, hot, "hit"),
    "hit, unpacking ns": timed(cold, scattered, "hit"),
    "miss ns": timed(store, absent, "miss"),
    "key and hit ns": keyAndHit(store, hot),
  }
  const swapping = await paused(async () => {
    store.swap(await openPacked(bytes, { previous: image }))
  })
  return {
    ...result,
    "pack s": packing.took / 1000,
    "pack, pause ms": packing.longest,
    "pack, pause cpu ms": packing.longestCpu,
    "open s": opening.took / 1000,
    "open, pause ms": opening.longest,
    "open, pause cpu ms": opening.longestCpu,
    "compare and swap s": swapping.took / 1000,
    "swap, pause ms": swapping.longest,
    "swap, pause cpu ms": swapping.longestCpu,
  }
}

/** From a hostname to its record. */
const keyAndHit = (store: PackedStore, keys: readonly RouteKey[]): number => {
  const hosts = keys.filter((key) => key.startsWith("p:")).map((key) => `4096__${key.slice(2)}.iterate.app`)
  const samples: number[] = []
  for (let round = WARM_UP; round < ROUNDS; round++) {
    const began = cpuNs()
    for (let at = 0; at < LOOKUPS; at++) {
      const tried = candidates(grammar, hosts[at % hosts.length]!)
      if (!Array.isArray(tried)) throw new Error("no hostname")
      const found = store.getFirst(tried.map(({ key }) => key))
      if (found.status !== "hit") throw new Error("a hostname without a record")
    }
    if (round >= 0) samples.push((cpuNs() - began) / LOOKUPS)
  }
  return samples.toSorted((one, other) => one - other)[ROUNDS >> 1]!
}

const shown = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(value < 10 ? 2 : 1))

for (const count of counts) {
  console.log(`\n${count} routes of the reference corpus, Node ${process.version}`)
  for (const [name, value] of Object.entries(await measure(count))) console.log(`  ${name.padEnd(26)}${shown(value)}`)
}
