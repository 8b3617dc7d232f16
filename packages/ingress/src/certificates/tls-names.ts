import type { DeclaredIngress } from "../resource/ingress.ts"

/** The hostnames of rules with `tls`, with `*` for each capture. */
export const tlsNames = (ingresses: readonly Pick<DeclaredIngress, "rules">[]): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const { rules } of ingresses) {
    for (const { tls, match } of rules) if (tls && match.hostname !== undefined) names.add(match.hostname.wildcard)
  }
  return names
}
