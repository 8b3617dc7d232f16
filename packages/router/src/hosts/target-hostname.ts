import { isAuthority } from "@project-ingress/forward/internal"

/** The check of an option that names where a listener leads: a hostname that a route could have, without a port of its own. */
export const targetHostname = (value: unknown): string | undefined =>
  typeof value === "string" && isAuthority(value) && !value.includes(":")
    ? undefined
    : "a hostname, as 5432__misha.iterate.app"
