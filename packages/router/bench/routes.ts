// pnpm bench routes [count …]: the packed route table, and the table that follows a feed. Size, time of a look-up, the longest pause
// while it is loaded and changed over, and how soon an attach is seen.
import { openPacked, packedStore, packRoutes } from "../src/stores/packed.ts"
import { keyAndHit, lookupKeys, paused, timed } from "./measure.ts"
import { referenceRoutes } from "./reference-routes.ts"
import { measureTable } from "./table.ts"
import { measureVisibility } from "./visibility.ts"

const given = process.argv.slice(2).map(Number)
if (given.some((count) => !Number.isSafeInteger(count) || count < 1_000)) {
  console.error("pnpm bench routes [count …]: counts of routes, integers from 1000 up")
  process.exit(2)
}
const counts = given.length > 0 ? given : [10_000, 100_000, 1_000_000]
const measure = async (count: number): Promise<Record<string, number>> => {
  const packing = await paused(() => packRoutes(referenceRoutes(count)))
  const bytes = packing.result
  const opening = await paused(() => openPacked(bytes))
  const image = opening.result
  const store = packedStore(image)

  const { scattered, hot, absent } = lookupKeys(Array.from(referenceRoutes(count), ([key]) => key))
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

const shown = (value: number): string => (Number.isInteger(value) ? `${value}` : value.toFixed(value < 10 ? 2 : 1))

const print = (result: Readonly<Record<string, number>>): void => {
  for (const [name, value] of Object.entries(result)) console.log(`  ${name.padEnd(32)}${shown(value)}`)
}

for (const count of counts) {
  console.log(`\n${count} routes of the reference corpus, Node ${process.version}`)
  print(await measure(count))
  console.log("  in a table that follows a feed")
  print(await measureTable(count))
}
console.log("\nfrom the call of attach until the table of another process's registry has it, Postgres with LISTEN")
const seen = await measureVisibility()
if (typeof seen === "string") console.log(`  not measured${seen}`)
else print(seen)
