import { compareText } from "../resource/precedence.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import { tlsNames } from "./tls-names.ts"

/** What can be issued. */
export interface CertificatePlanOptions {
  /**
   * Whether wildcard certificates can be had: by the DNS-01 challenge, which alone proves them, or from an authority of one's own.
   * Default true.
   */
  readonly wildcards?: boolean
}

/** The certificates that the `tls` rules of ingresses need. Every list is sorted and without duplicates. */
export interface CertificatePlan {
  /** The names of the certificates to order: one certificate each. */
  readonly subjects: readonly {
    /** `api.example.com`, or `*.dev.example.com`. */
    readonly name: string
    /** `dns-01`: only the DNS-01 challenge proves it. `any`: HTTP-01 and TLS-ALPN-01 do as well. */
    readonly challenge: "any" | "dns-01"
  }[]
  /** Hostnames that need no certificate of their own, and the wildcard among the subjects that covers them. */
  readonly covered: readonly { readonly name: string; readonly by: string }[]
  /**
   * Patterns that no certificate can be ordered for in advance: `*.*.example.com` (a certificate has one `*`, and in front), and every
   * other pattern without `wildcards`. Each hostname gets its own when it is asked for first, or none.
   */
  readonly onDemand: readonly string[]
}

/** Which certificates the rules with `tls` need. A name that a declared wildcard covers orders none. */
export const certificatePlan = (
  ingresses: readonly Pick<DeclaredIngress, "rules">[],
  { wildcards = true }: CertificatePlanOptions = {},
): CertificatePlan => {
  const names = tlsNames(ingresses)
  const sorted = [...names].toSorted(compareText)
  const canBeOrdered = (name: string) => !name.includes("*") || (wildcards && isCertificateName(name))
  const onDemand = sorted.filter((name) => !canBeOrdered(name))
  const orderable = sorted.filter(canBeOrdered)
  const covering = (name: string): string | undefined => {
    const wildcard = `*.${name.slice(name.indexOf(".") + 1)}`
    return name !== wildcard && wildcards && names.has(wildcard) && isCertificateName(wildcard) ? wildcard : undefined
  }
  return {
    subjects: orderable
      .filter((name) => covering(name) === undefined)
      .map((name) => ({ name, challenge: name.startsWith("*.") ? "dns-01" : "any" })),
    covered: orderable.flatMap((name) => {
      const by = covering(name)
      return by === undefined ? [] : [{ name, by }]
    }),
    onDemand,
  }
}

/** One `*`, as the whole first label, of a domain of at least two labels: RFC 6125 §6.4.3 and the rules of public authorities. */
const isCertificateName = (wildcard: string): boolean => /^\*(?:\.[^.*]+){2,}$/.test(wildcard)
