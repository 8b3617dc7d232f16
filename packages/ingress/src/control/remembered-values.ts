import { monotonicNow } from "@project-ingress/router/internal"

/** How long a value is used again without looking, in ms. */
const REUSE_MS = 10_000
/** Look-ups at a time. */
const PARALLEL = 32

/** Values that are looked up in bulk. */
export interface RememberedValues<Value> {
  /**
   * The value of each key. Those in `fresh` are looked up now, others at most 10 s ago. Where a look-up fails the last known
   * value counts, and if there is none it rejects with the failure. What is not asked for is forgotten.
   */
  readonly all: (keys: ReadonlySet<string>, fresh: ReadonlySet<string>) => Promise<ReadonlyMap<string, Value>>
}

export const rememberedValues = <Value>(load: (key: string) => Value | PromiseLike<Value>): RememberedValues<Value> => {
  let known = new Map<string, { readonly value: Value; readonly at: number }>()
  return {
    all: async (keys, fresh) => {
      const next = new Map<string, { readonly value: Value; readonly at: number }>()
      await eachOf(keys, (key) => {
        const last = known.get(key)
        if (last !== undefined && !fresh.has(key) && monotonicNow() - last.at < REUSE_MS) {
          next.set(key, last)
          return undefined
        }
        const keep = (cause: unknown): void => {
          if (last === undefined) throw cause
          next.set(key, last)
        }
        try {
          const value = load(key)
          if (!isPromise(value)) {
            next.set(key, { value, at: monotonicNow() })
            return undefined
          }
          return value.then((value) => void next.set(key, { value, at: monotonicNow() }), keep)
        } catch (cause) {
          keep(cause)
          return undefined
        }
      })
      known = next
      return new Map(Array.from(next, ([key, { value }]) => [key, value]))
    },
  }
}

/** Runs over all of them, 32 at a time where it has to be waited. */
export const eachOf = async <Item>(
  items: Iterable<Item>,
  run: (item: Item) => PromiseLike<void> | undefined,
): Promise<void> => {
  const rest = items[Symbol.iterator]()
  const work = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) {
      const waiting = run(next.value)
      if (waiting !== undefined) await waiting
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

const isPromise = <Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> =>
  typeof value === "object" && value !== null && "then" in value
