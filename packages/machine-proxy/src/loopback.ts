const DECIMAL_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
const LOOPBACK = new RegExp(`^(?:127\\.${DECIMAL_BYTE}\\.${DECIMAL_BYTE}\\.${DECIMAL_BYTE}|::1)$`)

/**
 * Whether a value is one loopback address: four plain decimals of 127.0.0.0/8 (RFC 1122 §3.2.1.3) or `::1` (RFC 4291
 * §2.5.3). By syntax alone: names need DNS, and parsers disagree on other spellings (`127.1`, `0177.0.0.1`,
 * `::ffff:127.0.0.1`).
 */
export const isLoopback = (value: unknown): value is string => typeof value === "string" && LOOPBACK.test(value)
