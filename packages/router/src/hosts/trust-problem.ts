import type { ProxyTrust } from "./client-identity.ts"

/** What is wrong with options of which each would be right alone. */
export const trustProblem = (options: Partial<ProxyTrust>, proxyProtocol: boolean): string | undefined => {
  const { trustedProxies = [], forwardedHeaders } = options
  if (trustedProxies.length === 0) {
    if (proxyProtocol)
      return "proxyProtocol needs trustedProxies: whoever sends its header chooses the client's address"
    return forwardedHeaders && "forwardedHeaders needs trustedProxies: they are read of nobody else"
  }
  if (forwardedHeaders === undefined) return undefined
  if (forwardedHeaders.includes("forwarded") && forwardedHeaders.length > 1)
    return 'forwardedHeaders must not name "forwarded" beside others: where they disagree, one would have to be guessed'
  return forwardedHeaders.length === 0 && !proxyProtocol
    ? "forwardedHeaders must name a field: without it and proxyProtocol, nothing says who the client is"
    : undefined
}
