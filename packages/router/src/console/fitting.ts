import type { Html } from "./html.ts"

const encoder = new TextEncoder()

/** In UTF-8. */
export const byteLength = (text: string): number => encoder.encode(text).length

/** The first rows, as many as fit in `max` bytes. */
export const fitting = (rows: readonly Html[], max: number): readonly Html[] => {
  let left = max
  const end = rows.findIndex(({ text }) => (left -= byteLength(text)) < 0)
  return end === -1 ? rows : rows.slice(0, end)
}
