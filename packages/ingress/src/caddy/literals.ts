/**
 * A regular expression of Go for exactly this text. What is not a letter, digit, `/`, `_` or `-` becomes its number, so that neither
 * Caddy's placeholders (`{…}`) nor a Caddyfile's quotes and variables (`{$…}`) can be in it.
 */
export const regexLiteral = (text: string): string =>
  Array.from(text, (char) => (/[\w/-]/.test(char) ? char : codePoint(char.codePointAt(0)!))).join("")

/** Above 255 a number would need braces: such characters mean nothing in a pattern, and stay. */
const codePoint = (value: number): string =>
  value < 256 ? `\\x${value.toString(16).padStart(2, "0")}` : String.fromCodePoint(value)

/**
 * A text in a field in which Caddy expands placeholders. A backslash before a brace is taken off, and only in texts with an opening
 * one (tried with 2.6.2); other backslashes stay.
 */
export const placeholderLiteral = (text: string): string =>
  text.includes("{") ? text.replaceAll("{", "\\{").replaceAll("}", "\\}") : text

/** A host that can be dialled: a name, an IPv4 address, or an IPv6 address without brackets; nothing that Caddy reads as a network, a port range or a placeholder. */
export const isHostAddress = (host: string): boolean => {
  if (host.length > 253) return false
  if (host.includes(":")) return /^[\da-fA-F:.]+$/.test(host) && URL.canParse(`http://[${host}]/`)
  if (/^[\d.]+$/.test(host)) return URL.canParse(`http://${host}/`) && new URL(`http://${host}/`).hostname === host
  return /^(?:[a-zA-Z\d_](?:[a-zA-Z\d_-]{0,61}[a-zA-Z\d_])?\.)*[a-zA-Z\d_](?:[a-zA-Z\d_-]{0,61}[a-zA-Z\d_])?\.?$/.test(
    host,
  )
}

/** `host:port`, an IPv6 address in brackets. */
export const authority = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/**
 * The regular expression of a path in a rule. Caddy compares it with the request's path after decoding `%` and after resolving `//`,
 * `.` and `..`, so no spelling of a protected path avoids its rule. `undefined`: no such path can be requested.
 */
export const pathRegex = (path: { readonly prefix: string } | { readonly exact: string }): string | undefined => {
  const given = "exact" in path ? path.exact : path.prefix
  if (/[?#]/.test(given) || /%2f/i.test(given) || /\/\/|\/\.{1,2}(?:\/|$)/.test(given)) return undefined
  const decoded = percentDecoded(given)
  if (decoded === undefined || /[\p{Cc}\p{Cs}]/u.test(decoded) || /\/\.{1,2}(?:\/|$)/.test(decoded)) return undefined
  if ("exact" in path) return `^${regexLiteral(decoded)}$`
  const prefix = regexLiteral(decoded.replace(/\/+$/, ""))
  return `^${prefix}(?:/|$)`
}

const percentDecoded = (path: string): string | undefined => {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}
