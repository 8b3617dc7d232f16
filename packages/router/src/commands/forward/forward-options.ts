import { isIP } from "node:net"
import { BadArgument, textOf } from "../arguments.ts"

/** What the command `forward` does, read from its arguments and its environment. */
export interface ForwardOptions {
  /** The port's own URL. */
  readonly url: URL
  readonly kind: "tcp" | "udp"
  readonly listen: { readonly address: string; readonly port: number }
  /** Fields of each handshake: the credentials. */
  readonly headers: Readonly<Record<string, string>>
  /** An IP address to connect to, whatever DNS says. */
  readonly address: string | undefined
  /** Authorities to trust, and no others (PEM). */
  readonly ca: string | undefined
  /** End after the first connection. */
  readonly once: boolean
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The URL of a port: of a project's name below a domain, of a hostname as it stands, or of a URL.
 *
 * ```text
 * 5432 misha --domain iterate.app   https://5432__misha.iterate.app/
 * 5432 misha.iterate.app (the same domain)   https://5432__misha.iterate.app/
 * 5432 db.example.com   https://db.example.com/
 * ```
 */
export const portUrl = (port: number, subject: string, domain: string | undefined): URL => {
  if (domain !== undefined && !isHostname(domain))
    throw new BadArgument("--domain or INGRESS_DOMAIN must be a domain: iterate.app")
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(subject)) return webUrl(subject)
  const name = subject.toLowerCase()
  const below = domain !== undefined && name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : name
  if (below.includes(".")) return webUrl(`https://${name}`)
  if (domain === undefined) {
    throw new BadArgument(
      `${subject} is the name of a project: say below which domain, with --domain or INGRESS_DOMAIN, or give the port's hostname`,
    )
  }
  if (!/^[a-z\d_-]{1,63}$/.test(below))
    throw new BadArgument(`${subject} is no name of a project: letters, digits, - and _, at most 63`)
  const named = /^(\d+)(?:__|--)/.exec(below)
  if (named !== null && Number(named[1]) !== port) {
    throw new BadArgument(`${subject} names port ${named[1]}, and not ${port}`)
  }
  return webUrl(`https://${named === null ? `${port}__` : ""}${below}.${domain}`)
}

const isHostname = (text: string): boolean => /^(?=.{1,253}$)[a-z\d-]+(?:\.[a-z\d-]+)*$/.test(text)

const webUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "https:" && url?.protocol !== "http:") {
    throw new BadArgument("forward needs a project, a hostname, or an https or http URL")
  }
  if (url.username !== "" || url.password !== "") {
    throw new BadArgument("the URL must have no credentials: a token is read from INGRESS_TOKEN")
  }
  url.hash = ""
  return url
}

/** `[address:]port`; by itself on loopback, where nobody else can connect. */
export const listenOf = (text: string | undefined, port: number): ForwardOptions["listen"] => {
  if (text === undefined) return { address: "127.0.0.1", port }
  const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]+)\]:|([^:]+):)?(\d{1,5})$/.exec(text) ?? []
  const address = bracketed ?? plain ?? "127.0.0.1"
  if (digits !== "" && Number(digits) <= 65_535 && isIP(address) !== 0) return { address, port: Number(digits) }
  throw new BadArgument("--listen must be a port, or an IP address and a port: 15432, 127.0.0.1:15432, [::1]:0")
}

/** Where credentials come from: never from an argument, which every process of this computer can read. */
export interface CredentialSources {
  readonly tokenEnv: string | undefined
  readonly tokenFile: string | undefined
  readonly cookieEnv: string | undefined
}

/** The fields with credentials: a token as Bearer, a session's cookie. `address` is where they go, if not where DNS says. */
export const credentialHeaders = (
  url: URL,
  address: string | undefined,
  { tokenEnv, tokenFile, cookieEnv }: CredentialSources,
  environment: Environment,
): Record<string, string> => {
  if (tokenEnv !== undefined && tokenFile !== undefined) {
    throw new BadArgument("--token-env and --token-file are two tokens: choose one")
  }
  const token =
    tokenFile === undefined
      ? variable("--token-env", tokenEnv, environment, environment["INGRESS_TOKEN"])
      : textOf("--token-file", tokenFile).trim()
  const cookie = variable("--cookie-env", cookieEnv, environment, undefined)
  const headers = {
    ...(token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` }),
    ...(cookie === undefined ? {} : { cookie }),
  }
  if (Object.keys(headers).length === 0) return headers
  if (Object.values(headers).some((value) => !/^[\t\u0020-\u007e]+$/.test(value))) {
    throw new BadArgument("the credentials have a character that no header field can have")
  }
  // Whoever is on the way could read them.
  if (url.protocol === "http:" && !isThisComputer(address ?? url.hostname)) {
    throw new BadArgument("the URL must be https, or of this computer, if there are credentials")
  }
  return headers
}

/** Whether a name is one of this computer, whatever DNS says (RFC 6761 §6.3): resolvers of systems do not know all of them. */
export const isLocalhost = (hostname: string): boolean => /^(?:.+\.)?localhost$/.test(hostname)

const isThisComputer = (host: string): boolean => /^(?:127\.\d+\.\d+\.\d+|\[?::1\]?)$/.test(host) || isLocalhost(host)

const variable = (
  option: string,
  name: string | undefined,
  environment: Environment,
  otherwise: string | undefined,
): string | undefined => {
  if (name === undefined) return otherwise
  const value = environment[name]
  if (value === undefined || value === "") throw new BadArgument(`${option}: the environment has no ${name}`)
  return value
}
