import type { ByteWriter } from "./bytes.ts"
import { writeText } from "./text.ts"

/**
 * The hash of a key's bytes: FNV-1a from a seed, then the finish of MurmurHash3, which makes all bits depend on all. The seed
 * depends on all keys of an image: without them nobody knows which names would collide.
 */
export const hashOf = (bytes: Uint8Array, from: number, to: number, seed: number): number => {
  let hash = 0x811c_9dc5 ^ seed
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ bytes[at]!, 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The hash of a key. `writer` is overwritten. */
export const hashOfKey = (writer: ByteWriter, key: string, seed: number): number => {
  writer.at = 0
  writeText(writer, key)
  return hashOf(writer.bytes, 0, writer.at, seed)
}

/** The first slot to look at. From the high bits: the tag is made of the low ones. */
export const slotOf = (hash: number, slots: number): number => Math.floor((hash / 2 ** 32) * slots)

/** 1 to 255. */
export const tagOf = (hash: number): number => ((hash & 0xffff) % 255) + 1
