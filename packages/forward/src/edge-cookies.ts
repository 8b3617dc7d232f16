/**
 * Cookies of a platform, by their names, which are case-sensitive (RFC 6265 §5.3); a name that ends with `*` is a prefix. They are
 * a session of ours there: a client or an app that got one could go there in our name, and one of theirs would be taken for ours.
 */

/** Whether a `Set-Cookie` value sets one of them. */
export const setsCookie = (value: string, names: readonly string[]): boolean => {
  // A cookie without a name is sent as its value alone, so that `=a=1` comes back as `a=1` (RFC 6265bis §5.8.3).
  const pair = value.replace(/^[\s=]+/, "")
  const name = pair.slice(0, /[=;]|$/.exec(pair)!.index).trim()
  return names.some((each) => (each.endsWith("*") ? name.startsWith(each.slice(0, -1)) : name === each))
}

/** A `Cookie` value without them; `undefined` when nothing is left. */
export const withoutCookies = (value: string, names: readonly string[]): string | undefined => {
  const pairs = value.split(";")
  const kept = pairs.filter((pair) => !setsCookie(pair, names))
  if (kept.length === pairs.length) return value
  return kept.length === 0 ? undefined : kept.join(";").trim()
}
