import { TunnelBroken, TunnelRefused } from "@project-ingress/forward/sockets"

/** What happened to one connection, and what to do about it, as one line. */
export const explainFailure = (error: unknown, port: string): string => {
  if (error instanceof TunnelRefused) {
    const { status, code, message } = error
    const what = code === undefined ? printable(message) : `${printable(code)}: ${printable(message)}`
    const next = adviceFor(error, port)
    return next === undefined ? what : `${what.replace(/\.?$/, ".")} ${next}${code === undefined ? ` (${status})` : ""}`
  }
  if (error instanceof TunnelBroken) return `${printable(error.message)} (${error.code})`
  if (!(error instanceof Error)) return "the connection failed"
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  const next = code === undefined ? undefined : socketAdvice[code]
  return next === undefined ? printable(error.message) : `${printable(error.message)}. ${next}`
}

const adviceFor = ({ status, code, location }: TunnelRefused, port: string): string | undefined => {
  const known = code === undefined ? undefined : advice(port)[code]
  if (known !== undefined || code !== undefined) return known
  if (status === 101) return "The machine's proxy is too old, or the hostname is another one's."
  if (status === 401 || (status >= 300 && status < 400 && location !== undefined)) return signIn
  if (status === 403) return "Whoever the token is for may not open this port."
  if (status === 404) return "Look whether the hostname is right."
  return "What responds there is no router of this project, or it has an older version."
}

const signIn = "Put a token into INGRESS_TOKEN, or a session's cookie into a variable, and name it with --cookie-env."

const advice = (port: string): Readonly<Record<string, string>> => ({
  LOGIN_REQUIRED: signIn,
  TOKEN_INVALID: "Make a new token: this one is wrong, over or withdrawn.",
  TOKEN_SCOPE: "Make a token for this project and this port.",
  ROUTE_NOT_FOUND: "Look whether the project and the domain are right: project-ingress explain.",
  TUNNEL_NOT_ALLOWED: `Set protocol of port ${port} in the project's record: "tcp", or "udp" with --udp.`,
  PORT_CLOSED: `Start what should listen on port ${port} in the machine.`,
})

const socketAdvice: Readonly<Record<string, string>> = {
  ENOTFOUND: "Look whether the hostname is right: project-ingress doctor.",
  ECONNREFUSED: "Nobody listens at that address: project-ingress doctor.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "Name the authority with --ca.",
  SELF_SIGNED_CERT_IN_CHAIN: "Name the authority with --ca.",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "Name the authority with --ca.",
}

/** Text of others for a terminal: without what moves its cursor, and not more than a line. */
const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").slice(0, 500)
