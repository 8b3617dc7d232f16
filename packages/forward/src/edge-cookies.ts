/**
 * Cookies of a platform's edge, by their names, which are case-sensitive (RFC 6265 §5.3): a session of ours there. A client
 * that got one could go there in our name, and a client's own would be taken for ours.
 */

/** Whether a `Set-Cookie` value sets one of them. */
export const setsCookie = (value: string, names: readonly string[]): boolean =>
  names.includes(value.slice(0, /[=;]|$/.exec(value)!.index).trim())

/** A `Cookie` value without them; `undefined` when nothing is left. */
export const withoutCookies = (value: string, names: readonly string[]): string | undefined => {
  const pairs = value.split(";")
  const kept = pairs.filter((pair) => !setsCookie(pair, names))
  if (kept.length === pairs.length) return value
  return kept.length === 0 ? undefined : kept.join(";").trim()
}
