const P = 2n ** 255n - 19n
/** Of the curve -x² + y² = 1 + dx²y² (RFC 8032 §5.1). */
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n
/** The points of an order that divides 8, by their y. With one of them as a key, everybody can sign. */
const SMALL = 2707385501144840649318225287225658788936804267575313519463743609750303402022n
const smallOrder: readonly bigint[] = [0n, 1n, P - 1n, SMALL, P - SMALL]

/**
 * Whether 32 bytes are a public key of Ed25519: a point of the curve in its one spelling (RFC 8032 §5.1.3), and not of small order.
 * WebCrypto imports any 32 bytes, and then verifies nothing.
 */
export const isEd25519Point = (bytes: Uint8Array): boolean => {
  if (bytes.length !== 32) return false
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .toReversed()
    .join("")
  // The highest bit is the sign of x.
  const y = BigInt(`0x${text}`) & (2n ** 255n - 1n)
  if (y >= P || smallOrder.includes(y)) return false
  const y2 = (y * y) % P
  // x² = u / v has a root if and only if u * v is a square (Euler's criterion).
  const u = (y2 - 1n + P) % P
  const v = (D * y2 + 1n) % P
  return power((u * v) % P, (P - 1n) / 2n) === 1n
}

const power = (base: bigint, exponent: bigint): bigint => {
  let result = 1n
  for (let square = base, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % P)
    if ((rest & 1n) === 1n) result = (result * square) % P
  return result
}
