/**
 * Chooses one of several weighted entries for a visitor, always the same one while the entries stay: a session in the memory
 * of one replica survives the next request. `seed` is the visitor's address; without one everybody gets the same entry.
 */
export const pick = <T extends { readonly weight?: number | undefined }>(
  entries: readonly T[],
  seed: string,
): T | undefined => {
  const total = entries.reduce((sum, { weight = 1 }) => sum + weight, 0)
  let left = fraction(seed) * total
  for (const entry of entries) {
    left -= entry.weight ?? 1
    if (left < 0) return entry
  }
  return undefined
}

/** A text as a number from 0 up to 1, evenly spread: FNV-1a of 32 bits with a final mix, so that close addresses part. */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}
