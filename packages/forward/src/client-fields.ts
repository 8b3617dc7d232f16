/** Who asked for what, as a proxy has found out. */
export interface ClientAndUrl {
  /** The public authority. */
  readonly host: string
  readonly scheme: "http" | "https"
  /** The client's IP address, where it is known. */
  readonly clientAddress?: string | undefined
}

/**
 * The fields that say who asked for what: never a list, because every earlier hop's claim is unproven (RFC 7239 §8.1). `about`: what
 * they say of the URL beside the address.
 */
export const clientFields = (client: ClientAndUrl, about: "none" | "scheme" | "all"): string[] => {
  const { host, scheme, clientAddress: address } = client
  const out = address === undefined ? [] : ["X-Forwarded-For", address]
  if (about !== "none") out.push("X-Forwarded-Proto", scheme)
  if (about !== "all") return out
  out.push("X-Forwarded-Host", host, "X-Forwarded-Port", String(publicPort(client)))
  // RFC 7239 §4 and §6: whatever is no token, such as `:` and `[`, is quoted.
  const node = address === undefined ? "" : `for=${address.includes(":") ? `"[${address}]"` : address};`
  out.push("Forwarded", `${node}host=${host === "" || host.includes(":") ? `"${host}"` : host};proto=${scheme}`)
  return out
}

/** The port that a client connects to, as far as the authority says. */
export const publicPort = ({ scheme, host }: Pick<ClientAndUrl, "scheme" | "host">): number => {
  const named = /:(\d{1,5})$/.exec(host)?.[1]
  return named === undefined ? (scheme === "https" ? 443 : 80) : Number(named)
}
