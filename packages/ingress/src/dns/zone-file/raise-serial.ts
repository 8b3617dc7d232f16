const SPAN = 2 ** 32

/**
 * A serial that is later than another one by the arithmetic of RFC 1982, so that secondaries take the zone: of a date (RFC 1912 §2.2,
 * `2026113001`) today's first one, of a date that is today's or later and of a plain counter the next number. Never 0, which
 * some servers read as "unset".
 */
export const raiseSerial = (serial: number, now: number): number => {
  const today = Number(new Date(now).toISOString().slice(0, 10).replaceAll("-", "")) * 100
  if (isDate(serial) && isLater(today, serial)) return today
  return (serial + 1) % SPAN || 1
}

/** RFC 1982 §3.2. */
export const isLater = (a: number, b: number): boolean => a !== b && (a - b + SPAN) % SPAN < SPAN / 2

const isDate = (serial: number): boolean => {
  const [year, month, day] = [Math.trunc(serial / 1e6), Math.trunc(serial / 1e4) % 100, Math.trunc(serial / 100) % 100]
  return year >= 1980 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}
