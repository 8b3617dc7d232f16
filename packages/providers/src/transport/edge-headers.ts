import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Endpoint } from "../contract/machine-provider.ts"

/**
 * The header fields for a provider's edge: its own come last, so that they win, and those that it would remove or act on are
 * sent under another name (`headerNames.tunnel` and the name), from which the machine's proxy restores them. `intercepted`:
 * their lower-case names.
 */
export const encapsulateHeaders = (
  list: HeaderList,
  intercepted: readonly string[],
  endpoint: Endpoint,
  headerNames: HopHeaderNames,
): HeaderList => {
  const edge = Object.entries(endpoint.headers ?? {})
  if (edge.length === 0 && intercepted.length === 0) return list
  const replaced = new Set(edge.map(([name]) => name.toLowerCase()))
  const out: string[] = []
  const encapsulated = new Map<string, string>()
  for (let i = 0; i < list.length; i += 2) {
    const lower = list[i]!.toLowerCase()
    const value = list[i + 1]!
    if (intercepted.includes(lower)) {
      // One line each, as the machine's proxy restores it (RFC 9110 §5.3; cookies: RFC 6265 §5.4).
      const before = encapsulated.get(lower)
      const joined = before === undefined ? value : before + (lower === "cookie" ? "; " : ", ") + value
      encapsulated.set(lower, joined)
    } else if (!replaced.has(lower)) out.push(list[i]!, value)
  }
  for (const [lower, value] of encapsulated) out.push(headerNames.tunnel + lower, value)
  return out.concat(...edge)
}
