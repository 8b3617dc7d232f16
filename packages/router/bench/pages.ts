// pnpm bench pages: how often a Worker reads a page of a large table, by simulation with pages of measured sizes.
import { makeClockTable } from "../src/stores/reading/clock-table.ts"
import { openPacked, packRoutes } from "../src/stores/packed.ts"
import { generator, referenceRoutes } from "./reference-routes.ts"

const MIB = 1 << 20
/** Requests a second of an isolate and of a data centre, as in the situations that the store was designed for. */
const [ISOLATE_RPS, PLACE_RPS] = [50, 3_000]
/** Routes that change a second, in all of the table: each changes a page. */
const CHANGES_PER_SECOND = 10
const WARM_UP = 1_000_000
const MEASURED = 1_000_000

/** A page for each rank of a name: ranks are spread over pages as hashes are. */
const pageOfRank = (rank: number, pages: number): number => {
  let hash = Math.imul(rank ^ (rank >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return Math.floor((((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32) * pages)
}

const simulate = async (routes: number): Promise<Record<string, string | number>> => {
  // As `pagePublisher` chooses.
  const pages = 2 ** Math.max(0, Math.ceil(Math.log2(routes / 2_000)))
  const perPage = Math.round(routes / pages)
  const bytes = await packRoutes(referenceRoutes(perPage), { builtAt: 0 })
  const opened: number[] = []
  for (let round = 0; round < 30; round++) {
    const began = process.cpuUsage()
    await openPacked(bytes, { force: true })
    const { user, system } = process.cpuUsage(began)
    opened.push((user + system) / 1_000)
  }
  const random = generator(7)
  // Zipf with exponent 1: the share of the first r of n names is ln r / ln n.
  const visit = (): number => pageOfRank(Math.floor(routes ** random()), pages)

  const memory = makeClockTable<true>(24 * MIB)
  let misses = 0
  for (let at = 0; at < WARM_UP + MEASURED; at++) {
    const page = String(visit())
    if (memory.get(page) === true) continue
    if (at >= WARM_UP) misses += 1
    memory.set(page, true, { share: "", weight: bytes.length })
  }

  // A data centre keeps every page that it has read until it changes.
  const kept = new Uint8Array(pages)
  let placeMisses = 0
  for (let at = 0; at < WARM_UP + MEASURED; at++) {
    if (random() < CHANGES_PER_SECOND / PLACE_RPS) kept[Math.floor(random() * pages)] = 0
    const page = visit()
    if (kept[page] === 1) continue
    if (at >= WARM_UP) placeMisses += 1
    kept[page] = 1
  }
  const missed = misses / MEASURED
  return {
    pages,
    "routes a page": perPage,
    "kB a page": (bytes.length / 1_000).toFixed(0),
    "bytes a route": (bytes.length / perPage).toFixed(1),
    "ms to open a page": opened.toSorted((one, other) => one - other)[15]!.toFixed(2),
    "in the isolate's memory %": ((1 - missed) * 100).toFixed(1),
    "pages read a second, by an isolate": (missed * ISOLATE_RPS).toFixed(1),
    "kB read a second, by an isolate": ((missed * ISOLATE_RPS * bytes.length) / 1_000).toFixed(0),
    "of all requests in the data centre's cache %": ((1 - placeMisses / MEASURED) * 100).toFixed(2),
    "reads of the storage a second, by a data centre": ((placeMisses / MEASURED) * PLACE_RPS).toFixed(1),
    "MB of all pages": ((bytes.length * pages) / 1e6).toFixed(0),
  }
}

console.log(
  `Zipf(1), ${ISOLATE_RPS} requests a second in an isolate with 24 MiB of pages, ${PLACE_RPS} in a data centre,`,
)
console.log(
  `${CHANGES_PER_SECOND} changes a second; after ${WARM_UP} requests, over ${MEASURED}. Node ${process.version}`,
)
for (const routes of [1_000_000, 10_000_000, 100_000_000]) {
  console.log(`\n${routes} routes`)
  for (const [name, value] of Object.entries(await simulate(routes))) console.log(`  ${name.padEnd(50)}${value}`)
}
