import type { Grammar } from "./grammar.ts"

/**
 * The DNS names that certificates must cover: for each domain the apex, `*.` and `*.machines.`, and for each project of
 * `slugs` the names below it, `*.misha.iterate.app`.
 *
 * A wildcard matches exactly one label (RFC 6125 §6.4.3, RFC 9525 §6.3). Without `slugs` these names cover everything that
 * `format` writes with the separators `__` and `--`, but not `4096.misha.iterate.app`, which `parse` accepts always and
 * `format` writes with `.`: that form needs the name of each project. Each custom domain needs `example.com` and
 * `*.example.com`.
 */
export const certificateNames = (grammar: Grammar, slugs: readonly string[] = []): readonly string[] =>
  grammar.domains.flatMap((domain) => [
    domain,
    `*.${domain}`,
    ...[grammar.machinesLabel, ...slugs].map((label) => `*.${label}.${domain}`),
  ])
