import { isObject } from "@project-ingress/router/internal"

/**
 * Rules as files of another ingress manager have them: a port of 0 is the default one, and a required header has other words. What
 * is neither is left as it is, for the decoder to refuse.
 */
export const withoutLegacy = (rules: unknown): unknown => (Array.isArray(rules) ? rules.map(rule) : rules)

const rule = (value: unknown): unknown => {
  if (!isObject(value)) return value
  const { match, request_header_auth: auth, ...others } = value
  return { ...others, match: withoutZero(match), ...requiredHeader(auth) }
}

/** A match as it is without a port of 0, by which the other manager says its absence. */
export const withoutZero = (match: unknown): unknown => {
  if (!isObject(match) || match["port"] !== 0) return match
  const { port: _, ...others } = match
  return others
}

const requiredHeader = (auth: unknown): object => {
  if (auth === undefined || auth === null) return {}
  // Not as it is: a field that nobody knows would otherwise be in the reason.
  if (!isObject(auth)) return { requireHeader: auth }
  const { header, ...others } = auth
  return { requireHeader: { ...others, name: typeof header === "string" ? header.toLowerCase() : header } }
}
