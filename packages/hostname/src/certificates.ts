import type { Grammar } from "./grammar.ts"

/**
 * The DNS names that certificates must cover: for each domain the apex, `*.` and `*.machines.`.
 *
 * A wildcard matches exactly one label (RFC 6125 §6.4.3, RFC 9525 §6.3). These names therefore cover everything that
 * `format` writes, but not `opencode.misha.iterate.app`, which `parse` accepts: that form needs `*.misha.iterate.app`
 * for each project. Publish `opencode--misha.iterate.app` instead. Each custom domain needs `example.com` and
 * `*.example.com`.
 */
export const certificateNames = (grammar: Grammar): readonly string[] =>
  grammar.domains.flatMap((domain) => [domain, `*.${domain}`, `*.${grammar.machinesLabel}.${domain}`])
