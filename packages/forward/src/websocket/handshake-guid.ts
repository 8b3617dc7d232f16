/** What a server hashes with the key of a handshake, to prove that it has read it (RFC 6455 §1.3). */
export const HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
