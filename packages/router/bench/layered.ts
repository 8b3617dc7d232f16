// node --conditions=@project-ingress/source packages/router/bench/layered.ts [count …]: a look-up in the layered store's memory.
import { layeredStore } from "../src/stores/layered.ts"
import type { LookupOptions, RouteStore } from "../src/stores/route-store.ts"
import { timedRounds } from "./measure.ts"
import { referenceRoutes } from "./reference-routes.ts"

const given = process.argv.slice(2).map(Number)
const counts = given.length > 0 ? given : [1_000, 10_000, 100_000]
const LOOKUPS = 1_000_000
const options: LookupOptions = { signal: new AbortController().signal }
const timed = (run: (n: number) => unknown): number =>
  Math.round(
    timedRounds(LOOKUPS, () => {
      for (let n = 0; n < LOOKUPS; n++) run(n)
    }),
  )

for (const count of counts) {
  const routes = new Map(referenceRoutes(count))
  const authority: RouteStore = {
    get: (key) => {
      const record = routes.get(key)
      return record === undefined ? { status: "miss" } : { status: "hit", record }
    },
  }
  const reads = { perSecond: 1e9, burst: 1e9 }
  const day = { softMs: 8e7, revalidateMs: 8e7, missMs: 8e7, maxMissMs: 8e7 }
  const limits = { routes: count * 2, misses: count * 2, names: count * 2, knownReads: reads, unknownReads: reads }
  const store = layeredStore({ authority, ...limits, ...day })
  const keys = [...routes.keys()]
  for (const key of keys) await store.get(key, options)
  const missing = keys.map((_, n) => `p:nobody-${n}` as const)
  for (const key of missing) await store.get(key, options)
  const pairs = keys.map((key, n) => [missing[n]!, key] as const)
  for (const pair of pairs) await store.getFirst(pair, options)
  const columns = {
    routes: count,
    "hit, ns": timed((n) => store.get(keys[n % keys.length]!, options)),
    "miss, ns": timed((n) => store.get(missing[n % keys.length]!, options)),
    "second of two keys, ns": timed((n) => store.getFirst(pairs[n % keys.length]!, options)),
  }
  console.log(JSON.stringify(columns))
}
