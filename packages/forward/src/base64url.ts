import { base64url as ofJose } from "jose"

/** Bytes, or a text as UTF-8, as base64url without padding (RFC 4648 §5), and back. `decode` throws for anything else. */
export const base64url = ofJose
