/** Whether a request bears the token. Compares in constant time, of a length that says nothing. Without a token nobody does. */
export const bears = async (request: Request, token: string | undefined): Promise<boolean> => {
  const [scheme, given, ...rest] = (request.headers.get("authorization") ?? "").split(" ")
  if (!token || scheme?.toLowerCase() !== "bearer" || !given || rest.length > 0) return false
  const [expected, borne] = await Promise.all([digestOf(token), digestOf(given)])
  return expected.reduce((difference, byte, at) => difference | (byte ^ borne[at]!), 0) === 0
}

const digestOf = async (text: string): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))
