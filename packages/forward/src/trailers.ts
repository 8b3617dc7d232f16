import type { HopHeaderNames } from "./header-names.ts"
import type { HeaderList } from "./header-list.ts"
import { isAlias, isIdentity, isServerDirective, ruleFor } from "./header-rules.ts"

/**
 * The trailers that may go on. Never what frames, routes, authenticates or describes the body: those had to be known before
 * it (RFC 9110 §6.5.1), and a recipient that merges trailers into headers would believe them.
 */
export const endToEndTrailers = (inbound: HeaderList, names: HopHeaderNames): string[] => {
  const out: string[] = []
  for (let i = 0; i < inbound.length; i += 2) {
    const lower = inbound[i]!.toLowerCase()
    const rule = ruleFor(lower)
    if (rule !== undefined && lower !== "etag") continue
    if (lower.startsWith(names.family) || lower.startsWith(names.prefix) || isIdentity(lower, rule)) continue
    if (isServerDirective(lower, rule)) continue
    if (lower === "via" || lower.startsWith("content-") || lower.startsWith("www-auth") || isAlias(lower, names))
      continue
    out.push(inbound[i]!, inbound[i + 1]!)
  }
  return out
}
