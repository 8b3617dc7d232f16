import type { TlsAlert } from "../tcp/tls-alert.ts"

/** What a TLS client says first, as far as it says where the connection goes. */
export interface ClientHello {
  /**
   * The name in `server_name` (RFC 6066 §3), in lower case; `undefined` without that extension. With Encrypted Client Hello it is the
   * outer one: the inner one is for whoever has the key.
   */
  readonly serverName: string | undefined
  /** The protocols that the client offers (ALPN, RFC 7301 §3.1), in its order: `h2`, `postgresql`. A character stands for a byte. */
  readonly alpn: readonly string[]
}

/** Why the beginning of a connection cannot be served. */
export interface HelloRefusal {
  /** The alert that the client is sent; `undefined` where it does not speak TLS, and would not understand it. */
  readonly alert: TlsAlert | undefined
  /** For logs. Holds nothing that the client sent. */
  readonly reason: string
}
