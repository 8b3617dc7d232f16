/** A bounded map of what was used lately, divided among shares. */
export interface ClockTable<V> {
  /** Finds an entry and notes that it is used. */
  readonly get: (key: string) => V | undefined
  /**
   * Stores an entry, of a share and a weight of 1 or more. An entry that is heavier than the whole table is not kept, nor is what
   * was there before.
   */
  readonly set: (key: string, value: V, of: { readonly share: string; readonly weight?: number }) => void
  readonly delete: (key: string) => void
  readonly clear: () => void
  /** How many entries there are. */
  readonly size: () => number
  /** What they weigh together, never more than the table's bound. */
  readonly weight: () => number
}

/** How many entries are looked at, at most, to find one that was not used lately. What is under the hand then is removed. */
const MAX_STEPS = 256

/**
 * CLOCK: an entry that is used gets a second chance when the hand comes by. No share loses an entry to one that has more than
 * itself, so that whoever fills the table with names of its own removes its own.
 */
export const makeClockTable = <V>(maxWeight: number): ClockTable<V> => {
  const entries = new Map<string, Entry<V>>()
  const shares = new Map<string, Share<V>>()
  const all: Ring<V> = { entries: [], hand: 0 }
  let total = 0

  const hasRoom = (weight: number): boolean => total + weight <= maxWeight

  const remove = (entry: Entry<V>): void => {
    entries.delete(entry.key)
    takeOut(all, entry, "at")
    takeOut(entry.share.ring, entry, "atOwn")
    total -= entry.weight
    entry.share.weight -= entry.weight
    if (entry.share.ring.entries.length === 0) shares.delete(entry.share.name)
  }

  /** The next entry to go when one of `share` comes. The table is not empty. */
  const victim = (share: Share<V>): Entry<V> => {
    for (let step = 0; step < MAX_STEPS; step++) {
      const entry = underHand(all)
      // Of a share that has less: it stays, used or not.
      if (entry.share !== share && entry.share.weight < share.weight) {
        all.hand++
        continue
      }
      if (!entry.isUsed) return entry
      entry.isUsed = false
      all.hand++
    }
    const { ring } = share
    if (ring.entries.length === 0) return underHand(all)
    for (let step = 0; step < MAX_STEPS && underHand(ring).isUsed; step++) {
      underHand(ring).isUsed = false
      ring.hand++
    }
    return underHand(ring)
  }

  return {
    get: (key) => {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entry.isUsed = true
      return entry.value
    },
    set: (key, value, { share: name, weight = 1 }) => {
      const before = entries.get(key)
      if (before !== undefined && before.share.name === name && before.weight === weight) {
        before.value = value
        return
      }
      if (before !== undefined) remove(before)
      if (weight > maxWeight) return
      const share = shares.get(name) ?? { name, weight: 0, ring: { entries: [], hand: 0 } }
      while (!hasRoom(weight)) remove(victim(share))
      // It may have been removed with its last entry.
      shares.set(name, share)
      const { ring } = share
      const isUsed = before?.isUsed ?? false
      const entry = { key, value, share, weight, isUsed, at: all.entries.length, atOwn: ring.entries.length }
      all.entries.push(entry)
      ring.entries.push(entry)
      entries.set(key, entry)
      share.weight += weight
      total += weight
    },
    delete: (key) => {
      const entry = entries.get(key)
      if (entry !== undefined) remove(entry)
    },
    clear: () => {
      entries.clear()
      shares.clear()
      all.entries = []
      total = 0
    },
    size: () => entries.size,
    weight: () => total,
  }
}

interface Entry<V> {
  readonly key: string
  value: V
  readonly share: Share<V>
  readonly weight: number
  isUsed: boolean
  /** Its place among all. */
  at: number
  /** Its place in its share. */
  atOwn: number
}

interface Share<V> {
  readonly name: string
  weight: number
  readonly ring: Ring<V>
}

interface Ring<V> {
  entries: Entry<V>[]
  hand: number
}

const underHand = <V>(ring: Ring<V>): Entry<V> => {
  if (ring.hand >= ring.entries.length) ring.hand = 0
  return ring.entries[ring.hand]!
}

/** The last one takes the place: nothing is moved but that. */
const takeOut = <V>(ring: Ring<V>, entry: Entry<V>, place: "at" | "atOwn"): void => {
  const last = ring.entries.pop()!
  if (last === entry) return
  ring.entries[entry[place]] = last
  last[place] = entry[place]
}
