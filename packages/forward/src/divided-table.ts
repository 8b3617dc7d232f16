/** The key of an entry, and whose it is: what a client or a tenant can make more of is a `key`, what the platform hands out a `share`. */
export interface DividedKey {
  readonly share: string
  readonly key: string
}

/** A bounded map, divided among shares. When it is full, the oldest entry of the largest share makes room. */
export interface DividedTable<V> {
  readonly get: (of: DividedKey) => V | undefined
  /** Stores it as the newest one of its share. */
  readonly set: (of: DividedKey, value: V) => void
  readonly delete: (of: DividedKey) => void
  /** Removes every entry whose key begins so, in all shares. */
  readonly deleteAll: (keyPrefix: string) => void
}

/** How many entries a table keeps. */
const MAX_ENTRIES = 10_000

/** No share ever loses an entry to one that has more than itself; one that is alone has the whole table. */
export const makeDividedTable = <V>(): DividedTable<V> => {
  const shares = new Map<string, Map<string, V>>()
  let size = 0

  const removeFrom = (share: string, entries: Map<string, V>, key: string): void => {
    if (!entries.delete(key)) return
    size--
    if (entries.size === 0) shares.delete(share)
  }
  return {
    get: ({ share, key }) => shares.get(share)?.get(key),
    set({ share, key }, value) {
      const own = shares.get(share)
      if (own !== undefined && own.delete(key)) size--
      if (size >= MAX_ENTRIES) {
        const [fullest, theirs] = largest(shares)
        removeFrom(fullest, theirs, theirs.keys().next().value!)
      }
      // The share may have been removed with its last entry.
      const entries = own ?? new Map<string, V>()
      entries.set(key, value)
      shares.set(share, entries)
      size++
    },
    delete: ({ share, key }) => {
      const entries = shares.get(share)
      if (entries !== undefined) removeFrom(share, entries, key)
    },
    deleteAll(keyPrefix) {
      for (const [share, entries] of shares) {
        for (const key of entries.keys()) if (key.startsWith(keyPrefix)) removeFrom(share, entries, key)
      }
    },
  }
}

/** The largest share. Looks at all of them, which only a full table needs. */
const largest = <V>(shares: ReadonlyMap<string, Map<string, V>>): readonly [string, Map<string, V>] => {
  let found: readonly [string, Map<string, V>] | undefined
  for (const share of shares) if (share[1].size > (found?.[1].size ?? 0)) found = share
  // A full table has entries, and no share is empty.
  return found!
}
