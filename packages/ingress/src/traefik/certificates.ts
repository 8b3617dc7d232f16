import { isWildcard } from "../resource/hostname-pattern.ts"
import type { HostnamePattern } from "../resource/ingress.ts"
import { NotExpressible } from "./not-expressible.ts"
import type { TraefikAcme } from "./options.ts"
import { coveredBy } from "../certificates/covered-by.ts"

/** The `tls` section of a router. */
export interface RouterTls {
  readonly certResolver?: string
  readonly domains?: readonly { readonly main: string; readonly sans?: readonly string[] }[]
  readonly passthrough?: true
}

/** Where the certificate of a hostname comes from. */
export const certificateOf = (hostname: HostnamePattern | undefined, acme: TraefikAcme | undefined): RouterTls => {
  if (acme === undefined) return {}
  if (hostname === undefined) throw new NotExpressible("match.hostname", "is needed for a certificate")
  const { wildcard } = hostname
  const certResolver = acme.resolver ?? "letsencrypt"
  const covering = acme.certificates?.find(({ main, sans = [] }) => coveredBy([main, ...sans], wildcard) !== undefined)
  if (covering !== undefined) {
    const sans = [...new Set(covering.sans)].filter((name) => name !== covering.main)
    return { certResolver, domains: [{ main: covering.main, ...(sans.length === 0 ? {} : { sans }) }] }
  }
  // Traefik finds the name in the rule.
  if (!isWildcard(hostname)) return { certResolver }
  if (!/^\*\.[^*]+$/.test(wildcard))
    throw new NotExpressible("match.hostname", "is a pattern that no certificate can have")
  if (typeof acme.challenge === "string") {
    throw new NotExpressible(
      "match.hostname",
      `needs a wildcard certificate, which the challenge ${acme.challenge} does not give`,
    )
  }
  return { certResolver, domains: [{ main: wildcard }] }
}
