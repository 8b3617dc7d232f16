/** The alerts by which a connection is refused before the app sees it (RFC 8446 §6; `unrecognized_name`: RFC 6066 §3). */
export const tlsAlerts = {
  unexpected_message: 10,
  record_overflow: 22,
  illegal_parameter: 47,
  access_denied: 49,
  decode_error: 50,
  protocol_version: 70,
  internal_error: 80,
  missing_extension: 109,
  unrecognized_name: 112,
} as const

/** The name of a TLS alert, as RFC 8446 §6 and RFC 6066 §3 have it. */
export type TlsAlert = keyof typeof tlsAlerts

const ALERT = 21
const FATAL = 2

/** An alert as a record. Nothing is encrypted yet: no ServerHello was sent. */
export const alertRecord = (alert: TlsAlert): Buffer => Buffer.from([ALERT, 3, 3, 0, 2, FATAL, tlsAlerts[alert]])
