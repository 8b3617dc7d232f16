import { decodeRecord, problemMessage } from "../stores/decode-record.ts"
import type { PackedImage } from "../stores/packed.ts"

interface InspectOptions {
  /** The keys whose records are printed. None: a summary of the image. */
  readonly keys: readonly string[]
  readonly json: boolean
  readonly print: (line: string) => void
}

/** How many records that no router can use are named. */
const SHOWN = 20

/** Prints what is in an image. False if a key is not there. */
export const inspectImage = async (image: PackedImage, { keys, json, print }: InspectOptions): Promise<boolean> => {
  if (keys.length > 0) {
    const found = keys.map((key) => {
      const slot = image.find(key)
      return { key, record: slot === -1 ? null : image.recordOf(slot, key) }
    })
    if (json) print(JSON.stringify(found))
    else for (const { key, record } of found) print(`${key}  ${record === null ? "absent" : JSON.stringify(record)}`)
    return found.every(({ record }) => record !== null)
  }

  const kinds = new Map<string, number>()
  const names = new Map<string, number>()
  const invalid: { readonly key: string; readonly problem: string }[] = []
  let invalidCount = 0
  for (const [key, record] of image.entries()) {
    count(kinds, record.kind)
    count(names, keyNames[key[0] ?? ""] ?? "other keys")
    const { problem } = decodeRecord(record)
    if (problem === undefined) continue
    invalidCount += 1
    if (invalid.length < SHOWN) invalid.push({ key, problem: problemMessage(problem) })
  }
  const { routes, builtAt, cursor, bytes } = image
  const summary = {
    routes,
    bytes: bytes.length,
    bytesPerRoute: routes === 0 ? 0 : Math.round((bytes.length / routes) * 10) / 10,
    builtAt: new Date(builtAt).toISOString(),
    cursor: cursor ?? null,
    keys: Object.fromEntries(names),
    kinds: Object.fromEntries(kinds),
    invalid: invalidCount,
  }
  if (json) {
    print(JSON.stringify({ ...summary, problems: invalid }))
    return true
  }
  print(`routes     ${routes}, ${summary.bytes} bytes, ${summary.bytesPerRoute} each`)
  print(`built      ${summary.builtAt}`)
  print(`cursor     ${cursor ?? "none: from no feed"}`)
  print(`keys       ${listed(names)}`)
  print(`records    ${listed(kinds)}`)
  print(`invalid    ${invalidCount}`)
  for (const { key, problem } of invalid) print(`  ${key}: ${problem}`)
  if (invalidCount > invalid.length) print(`  … and ${invalidCount - invalid.length} more`)
  return true
}

const keyNames: Readonly<Record<string, string>> = { p: "projects", m: "machines", d: "domains" }

const count = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

const listed = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([name, number]) => `${number} ${name}`).join(", ") || "none"
