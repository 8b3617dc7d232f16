import { byteLength, fitting } from "./fitting.ts"
import { markup } from "./html.ts"
import type { Html } from "./html.ts"

/** The longest text in a row, in characters. */
export const MAX_TEXT = 300

/** A heading and rows between a head and a tail, in at most `max` bytes. */
export const section = (
  title: string,
  [head, tail]: readonly [head: Html, tail: Html],
  rows: readonly Html[],
  max: number,
): Html => {
  const open = markup`<h2>${title}</h2>${head}`
  const end = (count: number) => markup`${tail}<p class="note">and ${count} more in the JSON</p>`
  const shown = fitting(rows, max - byteLength(open.text) - byteLength(end(rows.length).text))
  const left = rows.length - shown.length
  return markup`${open}${shown}${left === 0 ? tail : end(left)}`
}

/** A table with these columns. */
export const tableOf = (...columns: readonly string[]): readonly [head: Html, tail: Html] => [
  markup`<table><tr>${columns.map((column) => markup`<th>${column}</th>`)}</tr>`,
  markup`</table>`,
]

/** A duration in one unit. */
export const duration = (ms: number): string => {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = ms / 1_000
  if (seconds < 120) return `${Math.round(seconds)} s`
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`
}
