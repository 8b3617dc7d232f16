import type { Grammar, RouteKey } from "@project-ingress/hostname"

/**
 * The one name of a route in tickets and target headers: `misha.iterate.app`, `mach_1.machines.iterate.app`, `www.example.com`. Made of its
 * key and never of what a visitor typed, so that aliases, spellings and labels below a wildcard cause no signature.
 */
export const canonicalName = ({ domains, machinesLabel }: Grammar, key: RouteKey): string => {
  if (key.startsWith("d:")) return key.replace(/^d:(?:\d+:)?(?:\*\.)?/, "")
  const below = key.startsWith("m:") && machinesLabel ? `${machinesLabel}.` : ""
  return `${key.slice(2)}.${below}${domains[0]}`
}
