/** The text that bytes are in UTF-8; `undefined` if they are not valid (RFC 6455 §8.1). */
export const utf8Text = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
