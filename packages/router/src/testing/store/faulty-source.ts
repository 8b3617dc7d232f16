import { pause } from "../../stores/reading/pause.ts"
import type { Damage } from "./damaged-entries.ts"
import type { BeginFault, StoreFaults } from "./store-fixture.ts"

/** A function by which a store reads its source, and faults of it. */
export interface FaultySource<Args extends readonly unknown[], Result> {
  /** Does what the function does, but for the fault that has begun. Give the store this one. */
  readonly call: (...args: Args) => Promise<Result>
  /** For a `StoreFixture`. The last one that has begun and has not ended counts. */
  readonly faults: Readonly<Record<SourceFault, BeginFault>>
  /** How often it was called. For a `StoreFixture`. */
  readonly reads: () => number
}

/** The faults of a function. Those of single entries are made by `damagedEntries`. */
export type SourceFault = Exclude<keyof StoreFaults, Damage>

/** By how much a slow call is longer, in ms. */
const SLOW_MS = 50
/** How long the results of calls that overlap are gathered, in ms, to be given in reverse. */
const GATHER_MS = 20
/** Which calls fail while the source is flapping. */
const FLAPS = [true, false, true, true, false, false]
/** For how many different arguments the last two results are remembered. */
const MAX_REMEMBERED = 10_000

/**
 * Wraps the function that a store reads its source by (a database's query, the `get` of a binding, a `fetch` that gives text), so that
 * a test can make it fail. Results should be data: they are compared as JSON to know the one before the last change.
 *
 * ```ts
 * const { call, faults, reads } = faultySource((text: string, values: string[]) => pool.query(text, values))
 * routeStoreSuite(test, { open: () => myStore(call), put, remove, faults, reads })
 * ```
 */
export const faultySource = <Args extends readonly unknown[], Result>(
  read: (...args: Args) => Result | PromiseLike<Result>,
): FaultySource<Args, Result> => {
  const begun: SourceFault[] = []
  const results = new Map<string, { readonly text: string; readonly last: Result; readonly previous?: Result }>()
  const hanging = new Set<() => void>()
  let gathered: (() => void)[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let calls = 0
  let flaps = 0

  const remembered = async (args: Args, isStale: boolean): Promise<Result> => {
    const name = textOf(args)
    const known = results.get(name)
    if (isStale && known !== undefined) return known.previous ?? known.last
    const result = await read(...args)
    const text = textOf(result)
    if (known === undefined || known.text !== text) {
      if (results.size >= MAX_REMEMBERED) results.clear()
      results.set(name, { text, last: result, ...(known === undefined ? {} : { previous: known.last }) })
    }
    return result
  }
  const release = (): void => {
    const waiting = gathered.toReversed()
    gathered = []
    for (const each of waiting) each()
  }

  const call = async (...args: Args): Promise<Result> => {
    calls += 1
    const fault = begun.at(-1)
    if (fault === "error" || (fault === "flapping" && FLAPS[flaps++ % FLAPS.length])) throw failure("ECONNREFUSED")
    if (fault === "hang") {
      await new Promise<void>((resolve) => hanging.add(resolve))
      // As the connection is when the source is there again.
      throw failure("ECONNRESET")
    }
    if (fault === "slow") await pause(SLOW_MS)
    const result = await remembered(args, fault === "stale")
    if (fault === "reordered") {
      await new Promise<void>((resolve) => {
        gathered.push(resolve)
        clearTimeout(timer)
        timer = setTimeout(release, GATHER_MS)
      })
    }
    return result
  }

  const begin =
    (fault: SourceFault): BeginFault =>
    () => {
      begun.push(fault)
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        begun.splice(begun.lastIndexOf(fault), 1)
        if (fault === "hang") for (const end of hanging) end()
        if (fault === "hang") hanging.clear()
      }
    }
  return {
    call,
    faults: {
      error: begin("error"),
      hang: begin("hang"),
      slow: begin("slow"),
      flapping: begin("flapping"),
      stale: begin("stale"),
      reordered: begin("reordered"),
    },
    reads: () => calls,
  }
}

const failure = (code: string): Error => Object.assign(new Error(`the source fails: ${code}`), { code })

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => {
    if (each instanceof Map || each instanceof Set) return [...each]
    if (each instanceof ArrayBuffer) return [...new Uint8Array(each)]
    return each instanceof Uint8Array ? [...each] : typeof each === "bigint" ? `${each}` : each
  }) ?? "undefined"
