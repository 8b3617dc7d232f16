/** The type of a machine behind a tunnel. */
export const CLOUDFLARE_TUNNEL = "cloudflare-tunnel"

/** A DNS hostname (RFC 1123 §2.1) in lower case with at least two labels; never an IP address. */
export const TUNNEL_HOSTNAME = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/
