import { isPlatformName } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { readPattern } from "../resource/hostname-pattern.ts"
import type { DeclaredRule, HostnamePattern } from "../resource/ingress.ts"
import { HostnameNotAllowed, HostnameReserved, IngressInvalid } from "../resource/errors.ts"

/** Which hostnames nobody may declare, and which may have a certificate. */
export interface HostnameRules {
  readonly grammar: Grammar
  /** By label. `*` stands for any. */
  readonly reserved: readonly (readonly string[])[]
  /** Undefined: all. */
  readonly tlsDomains: readonly (readonly string[])[] | undefined
}

export const hostnameRules = (options: {
  readonly grammar: Grammar
  readonly reservedHostnames?: readonly string[] | undefined
  readonly tlsDomains?: readonly string[] | undefined
}): HostnameRules => ({
  grammar: options.grammar,
  reserved: (options.reservedHostnames ?? []).map(labelsOf),
  tlsDomains: options.tlsDomains?.includes("*") ? undefined : options.tlsDomains?.map(labelsOf),
})

/** Whether a text is a hostname or a pattern, for options. */
export const isHostnamePattern = (value: unknown): boolean =>
  typeof value === "string" && !("accepted" in readPattern(value))

/**
 * What needs no look-up.
 *
 * @throws {HostnameReserved} for a platform's name or a reserved one, and for a pattern that takes one
 * @throws {HostnameNotAllowed | IngressInvalid} for TLS outside the domains that have it
 */
export const checkHostname = (rules: HostnameRules, { match, tls = false }: DeclaredRule, at: string): void => {
  const field = `${at}.match.hostname`
  const { hostname } = match
  if (hostname !== undefined && isReserved(rules, hostname)) {
    throw new HostnameReserved({ field, hostname: hostname.text })
  }
  if (!tls || rules.tlsDomains === undefined) return
  if (hostname === undefined) throw new IngressInvalid({ field, accepted: "present with tls, under an allowed domain" })
  const labels = hostname.wildcard.split(".")
  const isAllowed = rules.tlsDomains.some(
    (domain) => domain.length === labels.length && domain.every((label, at) => label === "*" || label === labels[at]),
  )
  if (!isAllowed) throw new HostnameNotAllowed({ field, hostname: hostname.text })
}

/** Fronts match in an order of their own: what could be taken for a reserved name is one. */
const isReserved = ({ grammar, reserved }: HostnameRules, { wildcard }: HostnamePattern): boolean => {
  if (isPlatformName(grammar, wildcard)) return true
  const labels = wildcard.split(".")
  return (
    grammar.domains.some((domain) => {
      const wanted = domain.split(".")
      return labels.length >= wanted.length && overlap(labels.slice(-wanted.length), wanted)
    }) || reserved.some((name) => name.length === labels.length && overlap(labels, name))
  )
}

/** Whether one hostname fits both. */
const overlap = (one: readonly string[], other: readonly string[]): boolean =>
  one.every((label, at) => label === "*" || other[at] === "*" || label === other[at])

const labelsOf = (given: string): readonly string[] => {
  const pattern = readPattern(given)
  return "accepted" in pattern ? [] : pattern.wildcard.split(".")
}
