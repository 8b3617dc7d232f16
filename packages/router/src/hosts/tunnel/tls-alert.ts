import type { TlsAlert } from "@project-ingress/forward/sockets"

/**
 * The alert that a TLS client is sent in the place of a response. A name that leads nowhere is `unrecognized_name` (RFC 6066 §3), what a policy, the port's
 * settings or a bound refuses is `access_denied`, and what may be over in a moment, as a machine that is down, is `internal_error`
 * (RFC 8446 §6.2).
 */
export const alertOf = (status: number): TlsAlert => {
  if (status === 400 || status === 404 || status === 410) return "unrecognized_name"
  return status < 500 ? "access_denied" : "internal_error"
}
