import type { Endpoint } from "@project-ingress/providers"
import type { PortSettings } from "../stores/record.ts"
import { originIn, originText } from "./origin.ts"

/** What an app is to take for its own origin, beside the one that the visitor sees. */
export interface AppOrigin {
  /** The `Host` that it is sent; `undefined` where that is the endpoint's own, which the sender writes. */
  readonly host: string | undefined
  /** As a browser inside the machine would write the origin of a port of the project. */
  readonly of: (port: number) => string
  /** Whether a URL in a response begins with the app's own origin: then its length there, else 0. */
  readonly lengthIn: (url: string) => number
  /** True if `Origin` and the like are rewritten: the app does not see the public name. */
  readonly isRewritten: boolean
  /** The names of the app in the `Domain` of a cookie, which mean this host alone. */
  readonly cookieDomains: readonly string[]
  /** Which of the fields about the visitor's own URL the app is sent, beside the visitor's address. */
  readonly forwarded: "none" | "scheme" | "all"
}

/** What the choice depends on. */
export interface AppOriginInput {
  readonly settings: Pick<PortSettings, "appOrigin" | "forwardedProto" | "protocol">
  /** The port arrived at. */
  readonly port: number
  readonly endpoint: Pick<Endpoint, "origin" | "machineProxy">
  /** The visitor's scheme and authority. */
  readonly scheme: "http" | "https"
  readonly host: string
}

/**
 * The world that an app lives in, by the settings of its port. Whatever is derived from the host is rewritten together or not
 * at all: an app that is sent one name in `Host` and another one in `Origin` refuses its own pages (Jupyter, Next, webpack).
 */
export const appOrigin = (input: AppOriginInput): AppOrigin => {
  const { settings, endpoint } = input
  const { appOrigin: wanted = endpoint.machineProxy === false ? "endpoint" : "localhost" } = settings
  if (wanted === "public") return publicName(input)
  if (typeof wanted === "object") return ownName(input, wanted.host)
  return wanted === "localhost" ? localhost(input) : ownAddress(input)
}

const loopbackNames = ["localhost", "127.0.0.1", "[::1]"]

/** As if the browser ran inside the machine. */
const localhost = ({ settings, port, scheme }: AppOriginInput): AppOrigin => {
  const forwardsScheme = settings.forwardedProto === true
  const appScheme = forwardsScheme ? scheme : "http"
  // An app that speaks TLS itself knows its own scheme; of another port it is not known.
  const isTls = settings.protocol === "https"
  const of = (each: number): string => originText(isTls && each === port ? "https" : appScheme, "localhost", each)
  return {
    host: authorityOf(of(port)),
    of,
    lengthIn: lengthOf((hostname, written) => loopbackNames.includes(hostname) && written === port),
    isRewritten: true,
    cookieDomains: loopbackNames,
    forwarded: forwardsScheme ? "scheme" : "none",
  }
}

/** An app without a machine proxy, at its own address: as if the browser asked it there. */
const ownAddress = ({ settings, endpoint, port, scheme }: AppOriginInput): AppOrigin => {
  const own = originIn(endpoint.origin)!
  const forwardsScheme = settings.forwardedProto === true
  const appScheme = forwardsScheme ? scheme : own.scheme
  // What the sender writes as `Host`. Without a port it is any scheme's own address, as the app sees it.
  const authority = authorityOf(originText(own.scheme, own.hostname, own.port))
  const anyScheme = forwardsScheme && authority === own.hostname
  const names = loopbackNames.includes(own.hostname) ? loopbackNames : [own.hostname]
  return {
    host: undefined,
    of: (each) => (each === port ? `${appScheme}://${authority}` : originText(appScheme, own.hostname, each)),
    lengthIn: lengthOf(
      (hostname, written, byScheme) =>
        names.includes(hostname) && (written === own.port || (anyScheme && written === byScheme)),
    ),
    isRewritten: true,
    cookieDomains: names,
    forwarded: forwardsScheme ? "scheme" : "none",
  }
}

/** A name of the app's own, under which it expects to be asked. */
const ownName = ({ port, scheme }: AppOriginInput, host: string): AppOrigin => {
  const own = originIn(`${scheme}://${host}`)
  return {
    host,
    of: () => (own === undefined ? `${scheme}://${host}` : originText(scheme, own.hostname, own.port)),
    lengthIn: lengthOf((hostname, written, byScheme) => {
      if (hostname !== own?.hostname) return false
      return written === port || written === (host.toLowerCase() === own.hostname ? byScheme : own.port)
    }),
    isRewritten: true,
    cookieDomains: own === undefined ? [] : [own.hostname],
    forwarded: "all",
  }
}

/** The name that the visitor typed, everywhere. */
const publicName = ({ port, scheme, host }: AppOriginInput): AppOrigin => {
  const own = originIn(`${scheme}://${host}`)
  return {
    host,
    of: () => `${scheme}://${host}`,
    // What an app that knows the name and its own port makes of the two.
    lengthIn: lengthOf((hostname, written) => hostname === own?.hostname && written === port && written !== own.port),
    isRewritten: false,
    cookieDomains: [],
    forwarded: "all",
  }
}

/** A URL may leave the scheme to the page that it stands on (RFC 3986 §4.2). */
const lengthOf =
  (isOwn: (hostname: string, port: number, byScheme: number) => boolean): AppOrigin["lengthIn"] =>
  (url) => {
    const relative = url.startsWith("//")
    const found = originIn(relative ? `http:${url}` : url)
    if (found === undefined) return 0
    const { scheme, hostname, port, text } = found
    return isOwn(hostname, port, scheme === "https" ? 443 : 80) ? text.length - (relative ? "http:".length : 0) : 0
  }

const authorityOf = (origin: string): string => origin.slice(origin.indexOf("//") + 2)
