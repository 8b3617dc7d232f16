import type { Grammar, RouteKey } from "@project-ingress/hostname"

/**
 * The one name of a route in tickets and target headers: `misha.iterate.app`, `mach_1.machines.iterate.app`, `www.example.com`. Made of its
 * key and never of what a visitor typed, so that aliases, spellings and labels below a wildcard cause no signature.
 */
export const canonicalName = ({ domains, machinesLabel }: Grammar, key: RouteKey): string => {
  const custom = customDomain(key)
  if (custom !== undefined) return custom
  const below = key.startsWith("m:") && machinesLabel ? `${machinesLabel}.` : ""
  return `${key.slice(2)}.${below}${domains[0]}`
}

/** The domain of a key `d:www.example.com`, `d:*.example.com` or `d:8443:www.example.com`; `undefined` for any other key. */
export const customDomain = (key: RouteKey): string | undefined => CUSTOM.exec(key)?.[1]

const CUSTOM = /^d:(?:\d+:)?(?:\*\.)?(.+)$/
