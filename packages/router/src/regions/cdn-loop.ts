/**
 * How often an identifier is among the values of `CDN-Loop` (RFC 8586 §2): a list of `cdn-id *( ";" parameter )`, in which a
 * parameter may be a quoted text with commas. A quotation mark without an end stands for itself, or it would hide what proxies append
 * to its line. Linear in their length.
 */
export const timesInCdnLoop = (lines: readonly string[], id: string): number => {
  let times = 0
  for (const line of lines) {
    const [closed] = CLOSED.exec(line)!
    const members = (closed.replaceAll(QUOTED, '""') + line.slice(closed.length)).split(",")
    for (const member of members) if (member.split(";", 1)[0]!.trim().toLowerCase() === id) times += 1
  }
  return times
}

const QUOTED = /"(?:[^"\\]|\\.)*"/g
/** Up to the first quotation mark without an end: after it, none has one, and each of them would be looked for up to the end of the line. */
const CLOSED = /^(?:[^"]|"(?:[^"\\]|\\.)*")*/
