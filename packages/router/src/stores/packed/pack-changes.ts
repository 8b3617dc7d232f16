import type { RouteKey, RouteRecord } from "../record.ts"
import { ByteReader, ByteWriter } from "./bytes.ts"
import { entryOf, writeEntry } from "./entry.ts"
import type { Entry } from "./entry.ts"
import { hashOf, hashOfKey } from "./key-hash.ts"
import { learntBefore } from "./learn-dictionary.ts"
import type { PackedImage } from "./packed-image.ts"
import { skipText } from "./text.ts"
import { turns } from "../turns.ts"
import { writeImage } from "./write-image.ts"

/**
 * An image with changes: `undefined` takes a key out. Entries that stay are copied as they are, so that it takes a small part of the time of
 * `packRoutes` and makes no garbage; the dictionary stays that of the image. Keys must be packable. Lets others run in between.
 */
export const packChanges = async (
  image: PackedImage,
  changes: ReadonlyMap<RouteKey, RouteRecord | undefined>,
  { cursor, builtAt }: { readonly cursor: string | undefined; readonly builtAt: number },
): Promise<Uint8Array> => {
  const turn = turns()
  const isChanged = new Uint8Array(image.slots)
  const fresh: Entry[] = []
  for (const [key, record] of changes) {
    const slot = image.find(key)
    if (slot !== -1) isChanged[slot] = 1
    if (record !== undefined) fresh.push(entryOf(key, record, undefined))
    if (turn.isOver()) await turn.next()
  }

  // Three numbers an entry that stays: where it begins, where its key ends, and where it ends itself.
  const stays = new Uint32Array(image.routes * 3)
  const input = new ByteReader(image.bytes)
  let kept = 0
  let open = false
  for (let slot = 0; slot < image.slots; slot++) {
    const start = image.startOf(slot)
    if (start === -1) continue
    if (open) stays[kept++ * 3 + 2] = start
    open = isChanged[slot] === 0
    if (open) {
      input.at = start
      try {
        skipText(input)
        stays[kept * 3] = start
        stays[kept * 3 + 1] = input.at
      } catch {
        // No key can be read, so none leads there.
        open = false
      }
    }
    if (turn.isOver()) await turn.next()
  }
  if (open) stays[kept++ * 3 + 2] = image.bytes.length

  const learnt = learntBefore(image.dictionary)
  const writer = new ByteWriter()
  return writeImage(
    {
      count: kept + fresh.length,
      hashAt: (at, seed) =>
        at < kept
          ? hashOf(image.bytes, stays[at * 3]!, stays[at * 3 + 1]!, seed)
          : hashOfKey(writer, fresh[at - kept]!.key, seed),
      writeAt: (out, at) => {
        if (at < kept) out.append(image.bytes.subarray(stays[at * 3], stays[at * 3 + 2]))
        else writeEntry(out, fresh[at - kept]!, learnt)
      },
      dictionary: image.dictionary,
      cursor,
      builtAt,
    },
    turn,
  )
}
