import { isIP } from "node:net"

/** What the doctor looks at. */
export interface DoctorTarget {
  readonly url: URL
  /** Without brackets. */
  readonly hostname: string
  readonly port: number
  readonly secure: boolean
}

/** Reads what was typed: a URL, or a hostname, which means https. A string says what is wrong with it. */
export const readTarget = (text: string): DoctorTarget | string => {
  let url
  try {
    url = new URL(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `https://${text}`)
  } catch {
    return "it is not a URL or a hostname"
  }
  const { protocol, hostname, port, username, password } = url
  if (protocol !== "https:" && protocol !== "http:") return "its scheme must be https or http"
  // They would be sent, and shown.
  if (username !== "" || password !== "") return "it must have no user name and no password"
  if (hostname === "") return "it has no hostname"
  const secure = protocol === "https:"
  url.hash = ""
  return {
    url,
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 443 : 80) : Number(port),
    secure,
  }
}

/** An address as it stands before a port. */
export const authorityOf = (address: string, port: number): string =>
  isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`
