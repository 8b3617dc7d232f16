import type { RouteKey, RouteRecord } from "../record.ts"
import { MAX_KEY_LENGTH } from "../route-key.ts"
import { ByteReader, ByteWriter } from "./bytes.ts"
import { partsOf } from "./head.ts"
import type { Head } from "./head.ts"
import { hashOf, slotOf, tagOf } from "./key-hash.ts"
import { readRecord } from "./template.ts"
import type { Template } from "./template.ts"
import { readText, skipText, writeText } from "./text.ts"

/** A verified image of all routes, read where it lies: nothing is unpacked before it is asked for. */
export class PackedImage {
  /** How many keys lead somewhere. */
  readonly routes: number
  /** When it was built, in ms since 1970, by the clock of the builder. */
  readonly builtAt: number
  /** Where the changes of the feed go on that it was built from. Absent: it was built from no feed. */
  readonly cursor: string | undefined
  /** The image itself. Must not be changed. */
  readonly bytes: Uint8Array
  readonly #head: Head
  readonly #parts: ReturnType<typeof partsOf>
  readonly #view: DataView
  readonly #input: ByteReader
  readonly #key = new ByteWriter()
  readonly #templates: readonly Template[]
  readonly #strings: readonly string[]

  /** For `openPacked`, which has verified what it gives. */
  constructor(bytes: Uint8Array, head: Head, templates: readonly Template[], strings: readonly string[]) {
    this.routes = head.routes
    this.builtAt = head.builtAt
    this.cursor = head.cursor
    this.bytes = bytes
    this.#head = head
    this.#parts = partsOf(head)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#input = new ByteReader(bytes)
    this.#templates = templates
    this.#strings = strings
  }

  /** How many places there are for keys: each has a number below that. */
  get slots(): number {
    return this.#head.slots
  }

  /** The slot of a key, -1 if it leads nowhere. Exact: the key itself is compared. */
  find(key: string): number {
    if (key.length > MAX_KEY_LENGTH) return -1
    this.#key.at = 0
    writeText(this.#key, key)
    return this.#find(this.#key.bytes, 0, this.#key.at)
  }

  /** The record in a slot that `find` gave for the key. One that cannot be read is of no known kind, and fails its own hostname only. */
  recordOf(slot: number, key: string): RouteRecord {
    const input = this.#input
    try {
      input.at = this.#entryAt(slot)
      skipText(input)
      const version = input.integer()
      const template = this.#templates[input.integer()]
      if (template === undefined) return unreadable
      return readRecord(input, template, version, key, this.#strings) as RouteRecord
    } catch {
      return unreadable
    }
  }

  /** The key in a slot; `undefined` if the slot is free or cannot be read. */
  keyOf(slot: number): RouteKey | undefined {
    if (this.bytes[this.#parts.tags + slot] === 0) return undefined
    try {
      this.#input.at = this.#entryAt(slot)
      return readText(this.#input) as RouteKey
    } catch {
      return undefined
    }
  }

  /** The version of the record in a slot that is not free. 0 if it cannot be read. */
  versionOf(slot: number): number {
    try {
      this.#input.at = this.#entryAt(slot)
      skipText(this.#input)
      return this.#input.integer()
    } catch {
      return 0
    }
  }

  /** Where the entry in a slot begins in `bytes`, -1 for a free slot. Entries lie in the order of their slots. */
  startOf(slot: number): number {
    return this.bytes[this.#parts.tags + slot] === 0 ? -1 : this.#entryAt(slot)
  }

  /** What the entries of the image are read with. */
  get dictionary(): { readonly templates: readonly Template[]; readonly strings: readonly string[] } {
    return { templates: this.#templates, strings: this.#strings }
  }

  /** The version of the same key here and in another image; `undefined` if only this one has it. */
  versionsOf(slot: number, other: PackedImage): { readonly own: number; readonly other: number } | undefined {
    if (this.bytes[this.#parts.tags + slot] === 0) return undefined
    try {
      const from = this.#entryAt(slot)
      this.#input.at = from
      skipText(this.#input)
      const same = other.#find(this.bytes, from, this.#input.at)
      if (same === -1) return undefined
      other.#input.at = other.#entryAt(same)
      skipText(other.#input)
      return { own: this.#input.integer(), other: other.#input.integer() }
    } catch {
      return undefined
    }
  }

  /** All keys with their records, in the order of the image. */
  *entries(): Generator<readonly [key: RouteKey, record: RouteRecord]> {
    for (let slot = 0; slot < this.slots; slot++) {
      const key = this.keyOf(slot)
      if (key !== undefined) yield [key, this.recordOf(slot, key)]
    }
  }

  #entryAt(slot: number): number {
    return this.#parts.entries + this.#view.getUint32(this.#parts.index + slot * 4, true)
  }

  #find(key: Uint8Array, from: number, to: number): number {
    const { slots, seed, longestProbe } = this.#head
    const hash = hashOf(key, from, to, seed)
    const wanted = tagOf(hash)
    const tags = this.#parts.tags
    const bytes = this.bytes
    let slot = slotOf(hash, slots)
    for (let left = longestProbe; left >= 0; left--) {
      const tag = bytes[tags + slot]
      if (tag === 0) return -1
      if (tag === wanted) {
        const entry = this.#entryAt(slot) - from
        let at = from
        while (at < to && bytes[entry + at] === key[at]) at++
        if (at === to) return slot
      }
      slot = slot + 1 === slots ? 0 : slot + 1
    }
    return -1
  }
}

const unreadable = Object.freeze({ kind: "unreadable", version: 0, epoch: 0 }) as unknown as RouteRecord
