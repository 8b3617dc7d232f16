const encoder = new TextEncoder()

/**
 * Texts as bytes, each after its length (4 bytes, big-endian; UTF-8), so that no two lists give the same bytes: what is signed
 * over a list must not be read as another one.
 */
export const framed = (...texts: readonly string[]): Uint8Array<ArrayBuffer> => {
  const parts = texts.map((text) => encoder.encode(text))
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + 4 + length, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const part of parts) {
    view.setUint32(at, part.length)
    bytes.set(part, at + 4)
    at += 4 + part.length
  }
  return bytes
}
