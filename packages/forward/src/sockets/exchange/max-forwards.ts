import type { HeaderList } from "../../header-list.ts"
import { headerValue } from "../../header-list.ts"

/** Hops that an OPTIONS request may still take (RFC 9110 §7.6.2); `undefined` when it does not say. */
export const maxForwards = (headers: HeaderList): number | undefined => {
  const value = headerValue(headers, "max-forwards")
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

/** The same fields with one hop less. */
export const oneHopLess = (headers: HeaderList): HeaderList => {
  const left = maxForwards(headers)
  if (left === undefined) return headers
  return headers.map((item, i) =>
    i % 2 === 1 && headers[i - 1]!.toLowerCase() === "max-forwards" ? String(left - 1) : item,
  )
}
