/**
 * Whether a text is the pin of a public key: `sha256//` and the base64 of the SHA-256 of its SubjectPublicKeyInfo in DER (RFC 7469
 * §2.4), 44 characters. It is what curl takes as `--pinnedpubkey`.
 */
export const isPublicKeyPin = (text: unknown): text is string =>
  // 32 bytes: of the last character's six bits two belong to none.
  typeof text === "string" && /^sha256\/\/[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)

/** What `isPublicKeyPin` accepts, for error messages. */
export const A_PUBLIC_KEY_PIN = '"sha256//" and the base64 of a public key\'s SHA-256'

/** The code of the error that a connection ends with when the peer's key is another one than the pinned. */
export const PIN_MISMATCH = "PIN_MISMATCH"

/** The code of the failure where a runtime shows nobody the peer's key, so that nothing is sent. */
export const PIN_NOT_SUPPORTED = "PIN_NOT_SUPPORTED"
