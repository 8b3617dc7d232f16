/**
 * The base URL of a vendor's API without a slash at its end; `undefined` when the text is not `https://` with a host and
 * perhaps a path. `http://` is accepted on loopback and on names that end with `.internal`, because secrets are sent there,
 * and everywhere if `insecure`.
 */
export const readApiBase = (text: unknown, insecure: boolean): string | undefined => {
  // Checked before it is parsed: the parser would accept backslashes, credentials and an empty query.
  if (typeof text !== "string" || !/^https?:\/\/[^/\\?#@\s]+(?:\/[A-Za-z0-9._~-]+)*\/?$/i.test(text)) return undefined
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname, href } = new URL(text)
  const near = /(?:^|\.)localhost$|\.internal$|^127\.\d+\.\d+\.\d+$|^\[::1\]$/.test(hostname)
  return protocol === "https:" || near || insecure ? href.replace(/\/$/, "") : undefined
}
