/** Lower-case letters and digits, 5 random bits each. */
export const randomId = (length: number): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(length))
  return Array.from(bytes, (byte) => "0123456789abcdefghjkmnpqrstvwxyz"[byte % 32]).join("")
}
