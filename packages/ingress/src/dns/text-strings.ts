/** The content of a TXT record in presentation format: quoted strings of at most 255 characters (RFC 1035 §3.3.14, §5.1). */
export const writeTextStrings = (content: string): string =>
  (content.match(/[^]{1,255}/g) ?? [""]).map((part) => `"${part.replaceAll(/["\\]/g, "\\$&")}"`).join(" ")

/** What {@link writeTextStrings} wrote; text without quotes is itself. */
export const readTextStrings = (written: string): string => {
  if (!written.startsWith('"')) return written
  const strings = written.match(/"(?:[^"\\]|\\[^])*"/g) ?? []
  return strings.map((each) => each.slice(1, -1).replaceAll(/\\([^])/g, "$1")).join("")
}
