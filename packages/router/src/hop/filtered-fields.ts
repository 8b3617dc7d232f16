/**
 * Fields of a response by which a browser does something to a whole site, or remembers something for a hostname longer than the
 * hostname may be the same project's:
 *
 * - `clear-site-data`: `"cookies"` clears those of the whole site.
 * - `origin-agent-cluster`: with `?0` a page can be scripted by another one of its site (`document.domain`).
 * - `strict-transport-security`: `max-age` stays; `includeSubDomains` and `preload` are taken out.
 * - `nel`, `report-to`, `reporting-endpoints`: reports about every later visitor to a server of the app's choice.
 * - `service-worker-allowed`: a worker outside its own folder.
 * - `set-login`: whether the visitor is signed in to an identity provider here.
 */
export type FilteredField = (typeof names)[number]

const names = [
  "clear-site-data",
  "origin-agent-cluster",
  "strict-transport-security",
  "nel",
  "report-to",
  "reporting-endpoints",
  "service-worker-allowed",
  "set-login",
] as const

/** The fields that an option `filterResponseHeaders` means; `undefined` for none. */
export const filteredFields = (option: boolean | readonly FilteredField[]): ReadonlySet<FilteredField> | undefined => {
  const chosen = option === true ? names : option === false ? [] : option
  return chosen.length === 0 ? undefined : new Set(chosen)
}

/** Takes them out, in place. */
export const filterFields = (fields: string[], filtered: ReadonlySet<string>): void => {
  let length = 0
  for (let i = 0; i < fields.length; i += 2) {
    const lower = fields[i]!.toLowerCase()
    const value = filtered.has(lower) ? restOf(lower, fields[i + 1]!) : fields[i + 1]!
    if (value === undefined) continue
    fields[length++] = fields[i]!
    fields[length++] = value
  }
  fields.length = length
}

/** What may stay of a filtered field. */
const restOf = (lower: string, value: string): string | undefined => {
  if (lower !== "strict-transport-security") return undefined
  // RFC 6797 §6.1: directives by semicolon, names without case. A quoted string may hold a semicolon; no known directive has one.
  const kept = value.split(";").filter((each) => !/^\s*(?:includesubdomains|preload)\b/i.test(each))
  return kept.length === 0 ? undefined : kept.join(";").trim()
}

/** Checks the option `filterResponseHeaders`. */
export const isFilterOption = (value: unknown): string | undefined =>
  typeof value === "boolean" || (Array.isArray(value) && Array.from(value).every((each) => isOneOf(each)))
    ? undefined
    : `true, false or an array of ${names.map((name) => `"${name}"`).join(", ")}`

const isOneOf = (value: unknown): boolean => (names as readonly unknown[]).includes(value)
