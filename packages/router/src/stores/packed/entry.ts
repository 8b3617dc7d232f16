import { kindOf } from "@project-ingress/forward/internal"
import { decodeRecord } from "../decode-record.ts"
import type { RecordProblem } from "../decode-record.ts"
import { frozenJson } from "../frozen-json.ts"
import type { RouteKey } from "../record.ts"
import { isRouteKey } from "../route-key.ts"
import { isObject } from "../shape.ts"
import type { ByteWriter } from "./bytes.ts"
import { hashOf } from "./key-hash.ts"
import type { Learnt } from "./learn-dictionary.ts"
import { MAX_KEY_LENGTH } from "./packed-image.ts"
import { writeByTemplate } from "./template.ts"
import { writeText } from "./text.ts"

/** A route with its record as JSON. */
export interface Entry {
  readonly key: string
  readonly version: number
  readonly json: string
}

/**
 * Called for each record that no router of this version can use, which fails its own hostname; and, with the field `key`, for each
 * key that no hostname leads to, which is left out.
 */
export type OnInvalid = (key: string, problem: RecordProblem) => void

/** Whether a key may be in an image; what may not is reported. */
export const isPackable = (key: unknown, onInvalid: OnInvalid | undefined): key is RouteKey => {
  if (typeof key === "string" && key.length <= MAX_KEY_LENGTH && isRouteKey(key)) return true
  const shown = typeof key === "string" ? key.slice(0, 256) : kindOf(key)
  onInvalid?.(shown, { code: "RECORD_INVALID", field: "key", accepted: "a key that a hostname leads to" })
  return false
}

/** A route as it is packed, whatever its record is; an invalid one is reported. */
export const entryOf = (key: string, given: unknown, onInvalid: OnInvalid | undefined): Entry => {
  const { record, problem } = decodeRecord(given)
  if (record !== undefined) return { key, json: JSON.stringify(record), version: record.version }
  onInvalid?.(key, problem)
  let copy: unknown
  try {
    copy = frozenJson(given)
  } catch {
    // No JSON at all. The key is kept: its hostname is an error, not free.
  }
  if (!isObject(copy)) copy = { kind: "unreadable" }
  const { version } = copy as { readonly version?: unknown }
  return {
    key,
    json: JSON.stringify(copy),
    version: Number.isSafeInteger(version) ? Math.max(0, version as number) : 0,
  }
}

export const writeEntry = (out: ByteWriter, { key, version, json }: Entry, learnt: Learnt): void => {
  const record: unknown = JSON.parse(json)
  const template = learnt.closest(record)
  writeText(out, key)
  out.integer(version)
  out.integer(template)
  writeByTemplate(out, learnt.templates[template]!, record, key, learnt)
}

/** The hash of a key. `writer` is overwritten. */
export const hashOfKey = (writer: ByteWriter, key: string, seed: number): number => {
  writer.at = 0
  writeText(writer, key)
  return hashOf(writer.bytes, 0, writer.at, seed)
}
