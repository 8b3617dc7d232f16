import { TunnelBroken, TunnelRefused } from "@project-ingress/forward/sockets"
import type { ForwardOptions } from "./forward-options.ts"

type Forwarded = Pick<ForwardOptions, "url" | "kind">

/** What happened to one connection, and what to do about it, as one line. */
export const explainFailure = (error: unknown, forwarded: Forwarded): string => {
  if (error instanceof TunnelRefused) {
    const { status, code, message } = error
    const what = code === undefined ? printable(message) : `${printable(code)}: ${printable(message)}`
    const next = adviceFor(error, forwarded)
    return next === undefined ? what : `${what.replace(/\.?$/, ".")} ${next}${code === undefined ? ` (${status})` : ""}`
  }
  if (error instanceof TunnelBroken) return `${printable(error.message)} (${error.code})`
  if (!(error instanceof Error)) return "the connection failed"
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  const next = code === undefined ? undefined : socketAdvice(forwarded)[code]
  // OpenSSL's sentence has the place in its source, too.
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1]
  const what = printable(reason === undefined ? error.message : `the TLS handshake failed: ${reason}`)
  return next === undefined ? what : `${what.replace(/\.?$/, ".")} ${next}`
}

const adviceFor = ({ status, code, location }: TunnelRefused, { url, kind }: Forwarded): string | undefined => {
  if (code !== undefined) return advice(remotePort(url), kind)[code]
  if (status === 101) return "The machine's proxy is too old, or the hostname is another one's."
  if (status === 401 || (status >= 300 && status < 400 && location !== undefined)) return signIn
  if (status === 403) return "Whoever the token is for may not open this port."
  if (status === 404) return "Look whether the hostname is right."
  return "What responds there is no router of this project, or it has an older version."
}

/** The port in a hostname of the usual form; else what it is called in a sentence. */
const remotePort = ({ hostname }: URL): string => /^(\d+)(?:__|--)/.exec(hostname)?.[1] ?? "of the hostname"

const signIn = "Put a token into INGRESS_TOKEN, or a session's cookie into a variable, and name it with --cookie-env."

const advice = (port: string, kind: "tcp" | "udp"): Readonly<Record<string, string>> => ({
  LOGIN_REQUIRED: signIn,
  TOKEN_INVALID: "Make a new token: this one is wrong, over or withdrawn.",
  TOKEN_SCOPE: "Make a token for this project and this port.",
  ROUTE_NOT_FOUND: "Look whether the project and the domain are right: project-ingress explain.",
  TUNNEL_NOT_ALLOWED:
    kind === "tcp"
      ? `Set protocol of port ${port} in the project's record to "tcp". If it is "udp", add --udp.`
      : `Set protocol of port ${port} in the project's record to "udp". If it is "tcp", leave out --udp.`,
})

const authority = "Name the authority with --ca."

const socketAdvice = ({ url }: Forwarded): Readonly<Record<string, string>> => ({
  ENOTFOUND: "Look whether the hostname is right: project-ingress doctor.",
  ECONNREFUSED: "Nobody listens at that address: project-ingress doctor.",
  ...(url.protocol === "http:" ? { ECONNRESET: "If TLS is spoken there, write https:// into the URL." } : {}),
  EPROTO: "If no TLS is spoken there, write http:// into the URL.",
  ERR_TLS_CERT_ALTNAME_INVALID: "Look whether the hostname is right: project-ingress doctor.",
  CERT_HAS_EXPIRED: "The router needs a new certificate.",
  DEPTH_ZERO_SELF_SIGNED_CERT: authority,
  SELF_SIGNED_CERT_IN_CHAIN: authority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: authority,
})

/** Text of others for a terminal: without what moves its cursor, and not more than a line. */
const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").slice(0, 500)
