import type { ConnectionOptions } from "node:tls"
import type { AddressRule } from "../../address.ts"
import type { ForwardErrorTag } from "../../error-rows.ts"

/** Where a request goes, as data. */
export interface UpstreamAddress {
  /**
   * Names the pool of connections that may be reused: the machine's incarnation and the port. Two machines must never
   * share one, even at the same address, because addresses are recycled (CVE-2026-6734).
   */
  readonly pool: string
  /** A hostname or IP address, or `loopback`: the literals 127.0.0.1 and ::1, raced, without any look-up. */
  readonly host: string
  readonly port: number
  /**
   * `h2c`: HTTP/2 by prior knowledge (RFC 9113 §3.3), and with `tls` or `pin` by ALPN. Requests of a pool share connections. Default:
   * HTTP/1.1.
   */
  readonly protocol?: "h2c"
  /** Present for TLS: options for node:tls; the server's name defaults to `host`. */
  readonly tls?: ConnectionOptions
  /**
   * The pin of the peer's public key, as `publicKeyPin` gives it. Always TLS, in which this key alone is looked at, never the chain
   * or the name of its certificate, before a byte of a request is sent. A peer with another key is the error
   * `ProviderUnavailable`, not sent, whose cause has the code `PIN_MISMATCH`.
   */
  readonly pin?: string
  /**
   * Which addresses may be connected to, where a record or a visitor chose the host: a name is resolved once, every address
   * that it has is checked, and one of those is connected to. A refused address is the error `ProviderUnavailable` whose
   * cause has the code `ADDRESS_NOT_ALLOWED`. Without it any address is connected to.
   */
  readonly addresses?: AddressRule
}

/** Why no response came. */
export interface UpstreamError {
  /**
   * `PortClosed`: refused. `UpstreamTimeout`: no connection, or no head of a response, in time. `UpstreamFailed`: the
   * connection broke. `UpstreamMalformed`: what came is not valid HTTP, or another protocol. `UpstreamUntrusted`: an app on
   * loopback has a certificate that does not verify. `ProviderUnavailable`: any other reason for which
   * there is no connection, as a name that cannot be resolved.
   */
  readonly tag: Extract<
    ForwardErrorTag,
    | "PortClosed"
    | "UpstreamTimeout"
    | "UpstreamFailed"
    | "UpstreamMalformed"
    | "UpstreamUntrusted"
    | "ProviderUnavailable"
  >
  /** `no` when the request certainly never reached an app. */
  readonly sent: "no" | "maybe"
  /** For logs. */
  readonly cause: unknown
}
