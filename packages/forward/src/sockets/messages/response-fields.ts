import type { HeaderList } from "../../header-list.ts"

/** Of one connection (RFC 9110 §7.6.1), by length of the name. The engine writes some of them, and an app's never come so far. */
const byLength: readonly (readonly string[])[] = Array.from({ length: 18 }, (_, length) =>
  ["upgrade", "connection", "keep-alive", "proxy-connection", "transfer-encoding"].filter(
    (name) => name.length === length,
  ),
)

/** The fields of a response without those of the connection that they were written for. */
export const endToEndFields = (headers: HeaderList): HeaderList => {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const names = byLength[name.length]
    if (names !== undefined && names.length > 0 && names.includes(name.toLowerCase())) continue
    kept.push(name, headers[i + 1]!)
  }
  return kept
}
