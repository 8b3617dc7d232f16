import { isWildcard } from "../resource/hostname-pattern.ts"
import type { DeclaredMatch, HostnamePattern } from "../resource/ingress.ts"
import { NotExpressible } from "./not-expressible.ts"

/** The version of Traefik, as far as output depends on it. */
export interface TraefikVersion {
  readonly minor: number
}

/** "3.6" by default. The text was checked with the options. */
export const readVersion = (text = "3.6"): TraefikVersion => ({ minor: Number(text.split(".")[1]) })

/** The text of a rule that takes what `match` takes. */
export const httpRuleText = (match: DeclaredMatch, version: TraefikVersion): string => {
  const parts = [hostText(match.hostname!, version)]
  if (match.path !== undefined) parts.push(pathText(match.path))
  if (match.method !== undefined) parts.push(`Method(${quoted(match.method, "match.method")})`)
  for (const [name, value] of sorted(match.headers ?? {})) parts.push(headerText(name, value, `match.headers.${name}`))
  return parts.join(" && ")
}

/** One of the values of a field is this one. */
export const headerText = (name: string, value: string, field: string): string =>
  `Header(${quoted(name, field)}, ${quoted(value, field)})`

/** The text of a rule for connections, by the name in their ClientHello; without a hostname all of them. */
export const tcpRuleText = ({ hostname }: DeclaredMatch, version: TraefikVersion): string => {
  if (hostname === undefined) return "HostSNI(`*`)"
  if (!isWildcard(hostname)) return `HostSNI(${quoted(hostname.wildcard, "match.hostname")})`
  if (isLeading(hostname) && version.minor >= 7) return `HostSNI(${quoted(hostname.wildcard, "match.hostname")})`
  return `HostSNIRegexp(${quoted(expression(hostname, ""), "match.hostname")})`
}

const hostText = (hostname: HostnamePattern, version: TraefikVersion): string => {
  const { wildcard } = hostname
  // `Host` takes a wildcard since 3.7, of one label and at the beginning only.
  const isPlain = !isWildcard(hostname) || (isLeading(hostname) && version.minor >= 7)
  if (isPlain) return `Host(${quoted(wildcard, "match.hostname")})`
  // `Host` ignores a final dot, an expression does not.
  return `HostRegexp(${quoted(expression(hostname, String.raw`\.?`), "match.hostname")})`
}

const isLeading = ({ wildcard }: HostnamePattern): boolean => /^\*\.[^*]+$/.test(wildcard)

/** Anchored at both ends: without that it takes every name that contains it. */
const expression = ({ wildcard }: HostnamePattern, end: string): string => {
  const labels = wildcard.split(".").map((label) => (label === "*" ? "[^.]+" : label))
  return `^${labels.join(String.raw`\.`)}${end}$`
}

const pathText = (path: NonNullable<DeclaredMatch["path"]>): string => {
  const text = "exact" in path ? path.exact : path.prefix
  if (text.includes("%")) throw new NotExpressible("match.path", "holds %, and Traefik compares decoded paths")
  if ("exact" in path) return `Path(${quoted(text, "match.path")})`
  // `PathPrefix` of `/products` takes `/products-for-sale`.
  return `(Path(${quoted(text, "match.path")}) || PathPrefix(${quoted(`${text}/`, "match.path")}))`
}

/** A value of a rule. Nothing can be escaped between backticks. */
const quoted = (value: string, field: string): string => {
  if (value.includes("`")) throw new NotExpressible(field, "holds a backtick, which a rule of Traefik cannot")
  return `\`${plainValue(value, field)}\``
}

/**
 * A value that nothing between us and Traefik reads as an instruction: Traefik runs Go templates over its files, and compose replaces
 * variables.
 */
export const plainValue = (value: string, field: string): string => {
  if (value.includes("{{")) throw new NotExpressible(field, "holds {{, which Traefik would run as a template")
  if (value.includes("${")) throw new NotExpressible(field, "holds ${, a placeholder that nothing replaces")
  if (!/^[\t\x20-\x7e]*$/.test(value)) throw new NotExpressible(field, "holds what is not visible ASCII")
  return value
}

const sorted = (record: Readonly<Record<string, string>>): readonly (readonly [string, string])[] =>
  Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1))
