/** No tunnel was opened: whoever was asked responded with something else. */
export class TunnelRefused extends Error {
  override readonly name = "TunnelRefused"
  /** The status of the response. */
  readonly status: number
  /** The stable code of the response, if a proxy of this project made it: `PORT_CLOSED`. */
  readonly code: string | undefined
  /** Where the response leads, as to a sign-in. Untrusted text. */
  readonly location: string | undefined

  /** `said`: what the response says, untrusted text. */
  constructor(status: number, code: string | undefined, said: string, location?: string) {
    super(said === "" ? `the tunnel was refused with status ${status}` : said)
    this.status = status
    this.code = code
    this.location = location
  }
}

/** A tunnel ended before both sides had. */
export class TunnelBroken extends Error {
  override readonly name = "TunnelBroken"
  /** The close code (RFC 6455 §7.4.1); 1006 where the connection broke off without one. */
  readonly code: number

  constructor(code: number, reason: string) {
    super(reason === "" ? (meanings[code] ?? `the tunnel was closed with code ${code}`) : reason)
    this.code = code
  }
}

const meanings: Readonly<Record<number, string>> = {
  1000: "the tunnel was closed before both sides had ended",
  1001: "the proxy stops",
  1006: "the connection to the tunnel broke off",
  1008: "access was withdrawn",
  1011: "the connection was reset",
}
