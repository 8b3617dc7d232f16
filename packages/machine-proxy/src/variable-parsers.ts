import type { PortRange } from "./ports.ts"

/** Reads a variable's text; `undefined` if it is invalid. */
export type VariableParser<A> = (value: string) => A | undefined

/** A decimal integer from `from` to `to`, both included, without sign, leading zero and unit. */
export const integer =
  (from: number, to: number): VariableParser<number> =>
  (value) => {
    if (!/^(?:0|[1-9][0-9]{0,8})$/.test(value)) return undefined
    const number = Number(value)
    return number >= from && number <= to ? number : undefined
  }

/** One of some texts, in exactly that spelling. */
export const oneOf =
  <A extends string>(...accepted: readonly A[]): VariableParser<A> =>
  (value) =>
    accepted.find((candidate) => candidate === value)

/** The text itself if it matches. */
export const matching =
  (pattern: RegExp): VariableParser<string> =>
  (value) =>
    pattern.test(value) ? value : undefined

const port = integer(1, 65_535)

/** Ports and ranges: `3000,4000-4999`, with spaces allowed around each. */
export const portRanges: VariableParser<readonly PortRange[]> = (value) => {
  const ranges: PortRange[] = []
  for (const part of value.split(",")) {
    const [first, last, ...rest] = part.trim().split("-")
    const from = port(first ?? "")
    const to = last === undefined ? from : port(last)
    if (rest.length > 0 || from === undefined || to === undefined || from > to) return undefined
    ranges.push(last === undefined ? from : [from, to])
  }
  return ranges
}
