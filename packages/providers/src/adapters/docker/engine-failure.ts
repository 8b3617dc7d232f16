/** Why an engine gave no usable response. */
export class EngineFailure extends Error {
  /** Short, for logs: `ECONNREFUSED`, `TLS: CERT_HAS_EXPIRED`. Contains no secret. */
  readonly reason: string
  /** The engine, its socket or its TLS front refused our credentials. */
  readonly refused: boolean
  constructor(
    reason: string,
    { cause, refused = false }: { readonly cause?: unknown; readonly refused?: boolean } = {},
  ) {
    super(reason, cause === undefined ? undefined : { cause })
    this.reason = reason
    this.refused = refused
  }
}

/** A response with a status that is no success; 401 and 403 are refusals. */
export const statusFailure = (status: number, cause?: Error): EngineFailure =>
  new EngineFailure(`HTTP ${status}`, { cause, refused: status === 401 || status === 403 })

/** What a transport's error means. `secure`: the connection uses TLS. */
export const transportFailure = (cause: unknown, secure: boolean): EngineFailure => {
  const { code, message = "" } = cause as { readonly code?: unknown; readonly message?: string }
  if (typeof code !== "string") return new EngineFailure("the engine request failed", { cause })
  if (code === "EACCES" || code === "EPERM") return new EngineFailure(code, { cause, refused: true })
  // Codes of the system and of the HTTP parser; but EPROTO is what Node reports when TLS fails while it writes.
  if (!secure || (/^(?:E[A-Z0-9]+|HPE_.*)$/.test(code) && code !== "EPROTO")) return new EngineFailure(code, { cause })
  // An alert about our certificate (RFC 8446 §6.2), named in the code or in the message, and spelled differently by each
  // runtime.
  const letters = `${code} ${message}`.replaceAll(/[^a-z]/gi, "")
  const refused =
    /alert(?:(?:bad|unsupported|no)certificate|certificate(?:revoked|expired|unknown|required)|unknownca|accessdenied)/i
  // The runtime's own error may hold a whole certificate, so only code and message are kept.
  return new EngineFailure(`TLS: ${code}`, {
    cause: Object.assign(new Error(message), { code }),
    refused: refused.test(letters),
  })
}
