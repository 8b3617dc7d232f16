import { publicPort } from "@project-ingress/forward/internal"

/** An origin (RFC 6454 §4) at the beginning of a URL. */
export interface Origin {
  /** As written. */
  readonly text: string
  readonly scheme: "http" | "https"
  /** Lower case; an IPv6 address with its brackets. */
  readonly hostname: string
  /** 1 to 65535: the scheme's own where the text names none. */
  readonly port: number
}

const AT_START = /^(https?):\/\/((?:[\w.-]+|\[[\da-f:.]+\]))(?::(\d{1,5}))?(?=[/?#]|$)/i

/** The origin that an absolute `http:` or `https:` URL without credentials begins with; `undefined` for anything else. */
export const originIn = (url: string): Origin | undefined => {
  const found = AT_START.exec(url)
  if (found === null) return undefined
  const scheme = found[1]!.toLowerCase() as Origin["scheme"]
  return {
    text: found[0],
    scheme,
    hostname: found[2]!.toLowerCase(),
    port: found[3] === undefined ? defaultPort(scheme) : Number(found[3]),
  }
}

/** An origin as browsers write it (RFC 6454 §6.1): lower case, without the port that its scheme implies. */
export const originText = (scheme: Origin["scheme"], hostname: string, port: number): string =>
  `${scheme}://${hostname}${port === defaultPort(scheme) ? "" : `:${port}`}`

/** A visitor's scheme, and an authority that the grammar has read. */
export interface Visitor {
  readonly scheme: Origin["scheme"]
  readonly host: string
}

/** The origin that the visitor's browser sees. */
export const publicOrigin = (visitor: Visitor): string =>
  originText(visitor.scheme, visitor.host.replace(/:\d*$/, "").toLowerCase(), publicPort(visitor))

const defaultPort = (scheme: Origin["scheme"]): number => (scheme === "https" ? 443 : 80)
