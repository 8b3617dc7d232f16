/**
 * How long a `Retry-After` field asks to wait, in ms from now: 0 for a date in the past, `undefined` without a value or for
 * one that is neither seconds nor a date (RFC 9110 §10.2.3).
 */
export const retryAfterMs = (value: string | null | undefined): number | undefined => {
  if (value === null || value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  // Each form of a date begins with its day and is in GMT, which one of them does not write (RFC 9110 §5.6.7). `Date.parse`
  // alone takes `-1` for a year.
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(value)) return undefined
  const until = Date.parse(value.endsWith("GMT") ? value : `${value} GMT`)
  return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now())
}
