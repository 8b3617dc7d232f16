import type { Grammar } from "./grammar.ts"

/**
 * The DNS names that certificates must cover: for each domain the apex, `*.` and `*.machines.`.
 *
 * A wildcard stands for exactly one label (RFC 6125 §6.4.3, RFC 9525 §6.3). These names therefore cover everything that
 * `format` writes, but not `opencode.misha.iterate.app`, which `parse` understands: that form needs `*.misha.iterate.app`
 * for each project. Hand out `opencode--misha.iterate.app` instead. Custom domains need `example.com` and
 * `*.example.com` each.
 */
export const certificateNames = (grammar: Grammar): readonly string[] =>
  grammar.domains.flatMap((domain) => [domain, `*.${domain}`, `*.${grammar.machinesLabel}.${domain}`])
