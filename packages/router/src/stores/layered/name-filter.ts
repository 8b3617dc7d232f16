/** Remembers names in a few bits each: those that were added lately, and by mistake about one of a thousand others. */
export interface NameFilter {
  readonly add: (name: string) => void
  readonly has: (name: string) => boolean
  readonly clear: () => void
}

const BITS_PER_NAME = 16
const HASHES = 5

/**
 * Two generations of a Bloom filter: of the names that were added, the last `names / 2` at least are remembered, and `names` at
 * most. 4 bytes a name. `newSeed`, a number from 0 to 1, is asked for with the first name: nobody outside may know which names are
 * taken for one another, and a Worker has no random numbers before its first request.
 */
export const makeNameFilter = (names: number, newSeed: () => number): NameFilter => {
  const half = Math.max(1, Math.ceil(names / 2))
  const bits = half * BITS_PER_NAME
  const words = Math.ceil(bits / 32)
  let seed: number | undefined
  let current = new Uint32Array(0)
  let previous = current
  let added = 0

  /** Whether all bits of a name are set; `setting` sets them. */
  const visit = (filter: Uint32Array, name: string, setting: boolean): boolean => {
    if (filter.length === 0) return false
    seed ??= Math.floor(newSeed() * 2 ** 32)
    const first = hashOf(name, seed)
    const step = hashOf(name, ~seed) | 1
    let wereSet = true
    for (let n = 0; n < HASHES; n++) {
      const bit = ((first + Math.imul(n, step)) >>> 0) % bits
      const mask = 1 << (bit & 31)
      if ((filter[bit >>> 5]! & mask) !== 0) continue
      wereSet = false
      if (!setting) return false
      filter[bit >>> 5]! |= mask
    }
    return wereSet
  }

  return {
    has: (name) => visit(current, name, false) || visit(previous, name, false),
    add: (name) => {
      if (current.length === 0 || added >= half) {
        previous = current
        current = new Uint32Array(words)
        added = 0
      }
      if (!visit(current, name, true)) added++
    },
    clear: () => {
      current = previous = new Uint32Array(0)
      added = 0
    },
  }
}

/** FNV-1a from a seed, over UTF-16 units, with the finish of MurmurHash3, which makes all bits depend on all. */
const hashOf = (name: string, seed: number): number => {
  let hash = 0x811c_9dc5 ^ seed
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
