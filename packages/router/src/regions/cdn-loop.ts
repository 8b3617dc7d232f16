/**
 * How often an identifier is among the values of `CDN-Loop` (RFC 8586 §2): a list of `cdn-id *( ";" parameter )`, in which a
 * parameter may be a quoted text with commas. Linear in their length.
 */
export const timesInCdnLoop = (lines: readonly string[], id: string): number => {
  let times = 0
  for (const line of lines) {
    for (const member of line.match(MEMBERS) ?? []) {
      if (member.split(";", 1)[0]!.trim().toLowerCase() === id) times += 1
    }
  }
  return times
}

/** The parts between commas that are not in a quoted text; a quotation mark without an end stands for itself. */
const MEMBERS = /(?:"(?:[^"\\]|\\.)*"|[^,])+/g
