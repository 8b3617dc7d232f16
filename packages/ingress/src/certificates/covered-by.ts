/** The first name of certificates that covers a hostname: itself, or a wildcard of its last labels (RFC 6125 §6.4.3: one label). */
export const coveredBy = (names: readonly string[], hostname: string): string | undefined =>
  names.find((name) => name === hostname) ??
  names.find((name) => name.startsWith("*.") && hostname.slice(hostname.indexOf(".")) === name.slice(1))
