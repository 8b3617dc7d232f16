import { ByteReader, ByteWriter } from "./bytes.ts"
import type { Entry } from "./entry.ts"
import { hashOf } from "./key-hash.ts"
import { readText, writeText } from "./text.ts"
import type { turns } from "../turns.ts"

/** Bytes are moved on when there are so many. */
const CHUNK_BYTES = 1 << 20
const BUCKETS = 1_024
/** Places and lengths that are kept of an entry: chunk, start, start of the JSON, end. */
const FIELDS = 4

const decoder = new TextDecoder()

/**
 * Entries as bytes. As objects and strings, a million of them would hold the garbage collector up, and with it everything else, for
 * far longer than anything here may take.
 */
export class EntryList {
  #count = 0
  #fields = new Uint32Array(FIELDS * 1_024)
  #versions = new Float64Array(1_024)
  readonly #chunks: ByteReader[] = []
  readonly #out = new ByteWriter()

  add({ key, version, json }: Entry): void {
    const at = this.#count
    if (at === this.#versions.length) this.#grow()
    const out = this.#out
    const field = at * FIELDS
    this.#fields[field] = this.#chunks.length
    this.#fields[field + 1] = out.at
    writeText(out, key)
    this.#fields[field + 2] = out.at
    out.utf8(json)
    this.#fields[field + 3] = out.at
    this.#versions[at] = version
    this.#count = at + 1
    if (out.at > CHUNK_BYTES) this.#flush()
  }

  /** The numbers of the entries, one for each key, in an order that depends on nothing but the keys. Nothing may be added afterwards. */
  async order(turn: ReturnType<typeof turns>): Promise<Uint32Array> {
    this.#flush()
    // Many small sorts instead of one that holds everything up. First how many are in each bucket, then where it begins.
    const begins = new Uint32Array(BUCKETS + 1)
    for (let at = 0; at < this.#count; at++) {
      begins[(this.hashAt(at, 0) % BUCKETS) + 1]! += 1
      if (turn.isOver()) await turn.next()
    }
    for (let bucket = 0; bucket < BUCKETS; bucket++) begins[bucket + 1]! += begins[bucket]!
    const inBuckets = new Uint32Array(this.#count)
    const next = begins.slice()
    for (let at = 0; at < this.#count; at++) {
      inBuckets[next[this.hashAt(at, 0) % BUCKETS]!++] = at
      if (turn.isOver()) await turn.next()
    }
    const order = new Uint32Array(this.#count)
    let kept = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const members = Array.from(inBuckets.subarray(begins[bucket], begins[bucket + 1]), (at) => ({
        at,
        key: this.#keyAt(at),
        version: this.#versions[at]!,
      }))
      // Stable: of equal versions the later one comes last.
      members.sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : one.version - other.version))
      for (const [place, { at, key }] of members.entries()) if (members[place + 1]?.key !== key) order[kept++] = at
      if (turn.isOver()) await turn.next()
    }
    return order.subarray(0, kept)
  }

  hashAt(at: number, seed: number): number {
    const field = at * FIELDS
    return hashOf(this.#chunkOf(at).bytes, this.#fields[field + 1]!, this.#fields[field + 2]!, seed)
  }

  jsonAt(at: number): string {
    const field = at * FIELDS
    return decoder.decode(this.#chunkOf(at).bytes.subarray(this.#fields[field + 2], this.#fields[field + 3]))
  }

  entryAt(at: number): Entry {
    return { key: this.#keyAt(at), version: this.#versions[at]!, json: this.jsonAt(at) }
  }

  #keyAt(at: number): string {
    const chunk = this.#chunkOf(at)
    chunk.at = this.#fields[at * FIELDS + 1]!
    return readText(chunk)
  }

  #chunkOf(at: number): ByteReader {
    return this.#chunks[this.#fields[at * FIELDS]!]!
  }

  #flush(): void {
    this.#chunks.push(new ByteReader(this.#out.written().slice()))
    this.#out.at = 0
  }

  #grow(): void {
    const fields = new Uint32Array(this.#fields.length * 2)
    fields.set(this.#fields)
    this.#fields = fields
    const versions = new Float64Array(this.#versions.length * 2)
    versions.set(this.#versions)
    this.#versions = versions
  }
}
