import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import type { Endpoint } from "../contract/machine-provider.ts"

/**
 * What a provider's edge is sent: its own headers last, so that they win, and those it would eat or act on under the
 * tunnel's prefix, where the machine's proxy finds them.
 */
export const encapsulateHeaders = (
  list: HeaderList,
  eaten: readonly string[],
  endpoint: Endpoint,
  names: HopHeaderNames,
): HeaderList => {
  const edge = Object.entries(endpoint.headers ?? {})
  if (edge.length === 0 && eaten.length === 0) return list
  const taken = new Set(edge.map(([name]) => name.toLowerCase()))
  const out: string[] = []
  const tunnelled = new Map<string, string>()
  for (let i = 0; i < list.length; i += 2) {
    const lower = list[i]!.toLowerCase()
    if (eaten.includes(lower)) {
      // One line each, as the machine's proxy restores it (RFC 9110 §5.3; cookies: RFC 6265 §5.4).
      const before = tunnelled.get(lower)
      tunnelled.set(
        lower,
        before === undefined ? list[i + 1]! : before + (lower === "cookie" ? "; " : ", ") + list[i + 1]!,
      )
    } else if (!taken.has(lower)) out.push(list[i]!, list[i + 1]!)
  }
  for (const [lower, value] of tunnelled) out.push(names.tunnel + lower, value)
  return out.concat(...edge)
}
