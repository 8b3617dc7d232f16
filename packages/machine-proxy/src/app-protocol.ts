import type { UpstreamAddress } from "@project-ingress/forward/sockets"

/** How the app on a port is spoken to, where that is not HTTP/1.1. */
export interface AppProtocol extends Pick<UpstreamAddress, "protocol" | "tls"> {
  /** Of the app's own URL. */
  readonly scheme: "http" | "https"
}

/**
 * Reads what the router says of a port: `h2c`, `https`, `https;verify=?0;name="app.example"`. Strictly as the router writes it, so that
 * one value has one meaning; `undefined` for any other. `verify=?0`: the certificate is not verified. `name`: the name in it, instead
 * of localhost.
 */
export const appProtocol = (value: string): AppProtocol | undefined => {
  if (value === "h2c") return { scheme: "http", protocol: "h2c" }
  const https = HTTPS.exec(value)
  if (https === null) return undefined
  const [, unverified, name = "localhost"] = https
  return { scheme: "https", tls: { rejectUnauthorized: unverified === undefined, servername: name } }
}

/** Parameters of RFC 9651 §3.1.2, each in its one place. A name has a letter: an IP address is no server name (RFC 6066 §3). */
const HTTPS = /^https(;verify=\?0)?(?:;name="((?=[^"]*[a-zA-Z])[a-zA-Z\d.-]{1,253})")?$/
