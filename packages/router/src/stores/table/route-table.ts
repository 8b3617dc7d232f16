import { decodeRecord } from "../decode-record.ts"
import { isUsableChange } from "../invalid-route.ts"
import type { OnInvalid } from "../invalid-route.ts"
import type { PackedImage } from "../packed/packed-image.ts"
import { unpackedRecords } from "../packed/unpacked-records.ts"
import type { UnpackedRecords } from "../packed/unpacked-records.ts"
import type { RouteKey, RouteRecord } from "../record.ts"
import type { RouteChange } from "../route-feed.ts"
import { isCount, isObject } from "../shape.ts"

/** What is known of a key beyond the image. */
export interface Known {
  readonly version: number
  /** Absent: it leads nowhere. */
  readonly record: RouteRecord | undefined
}

/** A change whose record was looked at. */
export interface DecodedChange extends Known {
  readonly key: RouteKey
}

/** How many removals are remembered, so that an earlier change does not bring a record back: beyond that the oldest are forgotten. */
const REMEMBERED = 65_536

/** All routes: an image, and what has changed since it was built. Of each key the highest version counts. */
export class RouteTable {
  readonly image: PackedImage
  /** Where the changes of the feed go on. */
  cursor: string
  /** How many keys lead somewhere. */
  routes: number
  readonly #unpack: UnpackedRecords
  readonly #changes = new Map<RouteKey, Known>()
  /** Keys that lead nowhere and are not in the image, with the version from which on a change counts, less one. */
  readonly #removed = new Map<RouteKey, number>()

  constructor(image: PackedImage, cursor: string, unpacked: number | RouteTable) {
    this.image = image
    this.cursor = cursor
    this.routes = image.routes
    this.#unpack = typeof unpacked === "number" ? unpackedRecords(image, unpacked) : unpacked.#unpack
  }

  /** Where a key leads: the same object each time for one that is looked up often. */
  find(key: RouteKey): RouteRecord | undefined {
    const change = this.#changes.get(key)
    if (change !== undefined) return change.record
    const slot = this.image.find(key)
    return slot === -1 ? undefined : this.#unpack(slot, key)
  }

  /** The version up to which changes of a key are known; -1 for a key that is not. */
  versionOf(key: RouteKey): number {
    const change = this.#changes.get(key)
    if (change !== undefined) return change.version
    const slot = this.image.find(key)
    return slot === -1 ? (this.#removed.get(key) ?? -1) : this.image.versionOf(slot)
  }

  /** Takes a change if it is newer than what is known. */
  apply({ key, version, record }: DecodedChange): void {
    if (version > this.versionOf(key)) this.put(key, { version, record })
  }

  /** Takes what is known of a key, whatever was known before. */
  put(key: RouteKey, known: Known): void {
    const had = this.#changes.get(key)
    const isInImage = this.image.find(key) !== -1
    const ledSomewhere = had === undefined ? isInImage : had.record !== undefined
    this.routes += Number(known.record !== undefined) - Number(ledSomewhere)
    this.#removed.delete(key)
    if (known.record !== undefined || isInImage) this.#changes.set(key, known)
    else {
      this.#changes.delete(key)
      this.#remember(key, known.version)
    }
  }

  /** What has changed since the image was built, as of now. */
  changes(): ReadonlyMap<RouteKey, Known> {
    return new Map(this.#changes)
  }

  /** How many keys have changed since the image was built. */
  get changed(): number {
    return this.#changes.size
  }

  /** All keys with their records, without those in `changes()`. */
  *unchanged(changes: ReadonlyMap<RouteKey, Known>): Generator<readonly [key: RouteKey, record: RouteRecord]> {
    for (const entry of this.image.entries()) if (!changes.has(entry[0])) yield entry
  }

  /** The same table over an image that has `packed` of its changes. */
  over(image: PackedImage, packed: ReadonlyMap<RouteKey, Known>, unpacked: number): RouteTable {
    const next = new RouteTable(image, this.cursor, unpacked)
    for (const [key, version] of this.#removed) next.#removed.set(key, version)
    for (const [key, known] of packed) if (known.record === undefined) next.#remember(key, known.version)
    for (const [key, known] of this.#changes) if (packed.get(key) !== known) next.put(key, known)
    return next
  }

  /**
   * Takes from the table before what is newer: a version never goes backwards. A key that only the table before has is gone; a change
   * of its last version, from a source that lagged behind, brings it back.
   */
  keepNewer(before: RouteTable): void {
    for (const [key, known] of before.#changes) {
      if (this.find(key) === undefined) this.#raise(key, known.version - Number(known.record !== undefined))
      // A removal counts for changes of its own version, too.
      else if (known.version >= this.versionOf(key) + Number(known.record !== undefined)) this.put(key, known)
    }
    for (const [key, version] of before.#removed) {
      if (this.find(key) === undefined) this.#raise(key, version)
      else if (version >= this.versionOf(key)) this.put(key, { version, record: undefined })
    }
  }

  /** A key that leads nowhere: changes of up to a version do not count. */
  #raise(key: RouteKey, version: number): void {
    if (version > this.versionOf(key)) this.put(key, { version, record: undefined })
  }

  #remember(key: RouteKey, version: number): void {
    this.#removed.set(key, version)
    if (this.#removed.size <= REMEMBERED) return
    for (const oldest of this.#removed.keys()) {
      this.#removed.delete(oldest)
      return
    }
  }
}

/**
 * Looks at a change from a feed, which may be anything. `undefined`, and reported, where nobody can tell of which key or version it
 * is. A record that is not valid is taken as it is: it fails its own hostnames.
 */
export const decodeChange = (
  change: RouteChange | null | undefined,
  onInvalid: OnInvalid | undefined,
): DecodedChange | undefined => {
  if (!isUsableChange(change, onInvalid)) return undefined
  const { key, version, record } = change
  return { key, version, record: record === undefined ? undefined : usable(key, record, onInvalid) }
}

/** A record, decoded so that nobody can change it any more; as it was given, and reported, where it is not valid. */
export const usable = (key: RouteKey, record: RouteRecord, onInvalid: OnInvalid | undefined): RouteRecord => {
  const decoded = decodeRecord(record)
  if (decoded.record !== undefined) return decoded.record
  onInvalid?.(key, decoded.problem)
  return record
}

/** The version that a record says it has; `undefined` where it says none. */
export const versionIn = (record: unknown): number | undefined => {
  try {
    const { version } = isObject(record) ? (record as { readonly version?: unknown }) : {}
    return isCount(version) ? version : undefined
  } catch {
    return undefined
  }
}
