const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * A duration as Go's `time.ParseDuration` reads one, in ms: `10s`, `1m30s`, `500ms`, `1.5h`. `undefined` for any other text, and
 * for one with a sign: no wait is negative.
 */
export const parseGoDuration = (text: string): number | undefined => {
  if (text === "0") return 0
  if (text.length > 64 || !/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([^\d.]+)/g)) ms += Number(amount) * UNITS[unit!]!
  return ms
}
