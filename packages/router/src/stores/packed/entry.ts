import { decodeRecord } from "../decode-record.ts"
import { frozenJson } from "../frozen-json.ts"
import type { OnInvalid } from "../invalid-route.ts"
import { isCount, isObject } from "../shape.ts"
import type { ByteWriter } from "./bytes.ts"
import type { Learnt } from "./learn-dictionary.ts"
import { writeByTemplate } from "./template.ts"
import { writeText } from "./text.ts"

/** A route with its record as JSON. */
export interface Entry {
  readonly key: string
  readonly version: number
  readonly json: string
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
  return { key, json: JSON.stringify(copy), version: isCount(version) ? version : 0 }
}

export const writeEntry = (out: ByteWriter, { key, version, json }: Entry, learnt: Learnt): void => {
  const record: unknown = JSON.parse(json)
  const template = learnt.closest(record)
  writeText(out, key)
  out.integer(version)
  out.integer(template)
  writeByTemplate(out, learnt.templates[template]!, record, key, learnt)
}
