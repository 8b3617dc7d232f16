import { createHash } from "node:crypto"
import { HANDSHAKE_GUID } from "../../websocket/handshake-guid.ts"

/** What a server proves by that it has read the key of a handshake (RFC 6455 §4.2.2). */
export const acceptOf = (key: string): string => createHash("sha1").update(`${key}${HANDSHAKE_GUID}`).digest("base64")
