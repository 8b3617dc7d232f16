/** What becomes of a list that both documents have. */
export type ListPolicy = "replace" | "append" | "refuse"

/** By path: `entryPoints.web.http.middlewares`; `*` is any one key, and the path `**` is every list that no other path names. */
export type ListPolicies = Readonly<Record<string, ListPolicy>>

/**
 * A document with a user's changes: maps are merged key by key, and everything else is replaced. What becomes of a list, nobody can guess: its
 * path must be in `lists`, or `**`. `append` adds what is not there yet. A key with `undefined` is left as it is. Nothing of the input is
 * changed.
 *
 * @throws {TypeError} for a list without a policy or with `refuse`, naming its path, and for a map over something else or the reverse
 */
export const mergeOverrides = (base: unknown, override: unknown, lists: ListPolicies = {}): unknown =>
  merged(base, override, lists, [])

const merged = (base: unknown, override: unknown, lists: ListPolicies, path: readonly string[]): unknown => {
  if (override === undefined) return base
  if (base === undefined || base === null) return override
  if (isMap(base) !== isMap(override) && override !== null) throw kindsDiffer(path)
  if (isMap(base) && isMap(override)) {
    const both = new Map(Object.entries(base))
    for (const [key, value] of Object.entries(override)) {
      const own = Object.hasOwn(base, key) ? base[key] : undefined
      both.set(key, merged(own, value, lists, [...path, key]))
    }
    // Not by assignment: a document may have a key `__proto__`.
    return Object.fromEntries(both)
  }
  if (Array.isArray(base) && Array.isArray(override)) {
    const policy = policyOf(lists, path)
    if (policy === "replace") return override
    if (policy === "append") {
      const known = new Set(base.map((element) => JSON.stringify(element)))
      return [...base, ...override.filter((element) => !known.has(JSON.stringify(element)))]
    }
    throw new TypeError(
      `mergeOverrides: ${path.join(".")} is a list: say in lists whether it is replaced or appended to`,
    )
  }
  return override
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const kindsDiffer = (path: readonly string[]): TypeError =>
  new TypeError(`mergeOverrides: ${path.join(".") || "the document"} is a map in one document only`)

const policyOf = (lists: ListPolicies, path: readonly string[]): ListPolicy | undefined => {
  const own = Object.entries(lists).find(([pattern]) => {
    const parts = pattern.split(".")
    return parts.length === path.length && parts.every((part, at) => part === "*" || part === path[at])
  })
  return own?.[1] ?? lists["**"]
}
