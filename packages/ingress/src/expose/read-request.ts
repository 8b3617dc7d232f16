import { canonicalAddress } from "@project-ingress/router/internal"
import { isDnsName, isInZone } from "../dns/check-record.ts"
import { IngressInvalid } from "../resource/errors.ts"

/** What shall be exposed. */
export interface ExposeRequest {
  /** A full name in lower case, `llm.internal.example.com`, or one label below the domain: `llm`. */
  readonly name: string
  /** The port of the target, 1 to 65535. Absent: DNS only, and the name leads to the target itself. */
  readonly port?: number
  /** An IP address in `allowedTargets`. Default: the proxy's own. */
  readonly target?: string
  /** What the target speaks. Default `http`. Only with a port. */
  readonly protocol?: "http" | "https"
  /** The tenant. Absent: the operator. */
  readonly owner?: string
}

/** What requests are checked against. */
export interface RequestRules {
  readonly address: string
  readonly domain: string | undefined
  readonly allowedTargets: readonly string[]
  readonly isAllowed: (ip: string) => boolean
}

/** A request that is valid. */
export interface ValidRequest {
  readonly hostname: string
  readonly target: string
  readonly protocol: "http" | "https"
  readonly port: number | undefined
  readonly owner: string | undefined
}

const LABEL = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/

/** Whether a text is one label as services are named here: 1 to 63 lower-case letters, digits and inner hyphens, no two of them together. */
export const isLabel = (text: unknown): text is string =>
  typeof text === "string" && LABEL.test(text) && !text.includes("--")

export const A_LABEL = "1 to 63 lower-case letters, digits and single inner hyphens"

/** @throws {IngressInvalid} for the first field that is wrong */
export const readRequest = (request: ExposeRequest, rules: RequestRules): ValidRequest => {
  const { name, port, target = rules.address, protocol = "http", owner } = request
  const hostname = readName(name, rules.domain)
  if (port !== undefined && !(Number.isSafeInteger(port) && port >= 1 && port <= 65_535)) {
    throw invalid("port", "an integer from 1 to 65535")
  }
  if (protocol !== "http" && protocol !== "https") throw invalid("protocol", "http or https")
  if (owner !== undefined && (typeof owner !== "string" || owner === "")) throw invalid("owner", "a non-empty string")
  const address = typeof target === "string" ? canonicalAddress(target) : undefined
  if (address === undefined) throw invalid("target", "an IP address in its usual form")
  if (!rules.isAllowed(address)) throw invalid("target", `an address in ${rules.allowedTargets.join(", ")}`)
  return { hostname, target: address, protocol, port, owner }
}

/** @throws {IngressInvalid} for what is no name that may be exposed */
export const readName = (name: unknown, domain: string | undefined): string => {
  if (typeof name !== "string" || name === "") throw invalid("name", "a name")
  if (!name.includes(".")) {
    if (domain === undefined) throw invalid("name", "a full name, because there is no domain")
    if (!isLabel(name)) throw invalid("name", A_LABEL)
    return readName(`${name}.${domain}`, domain)
  }
  const labels = name.split(".")
  // The last label begins with a letter, so that no reader takes it for an address.
  if (!isDnsName(name) || !labels.every((label) => LABEL.test(label)) || !/^[a-z]/.test(labels.at(-1)!)) {
    throw invalid("name", "a full name of labels of lower-case letters, digits and inner hyphens")
  }
  if (domain !== undefined && (name === domain || !isInZone(name, domain))) throw invalid("name", `below ${domain}`)
  return name
}

const invalid = (field: string, accepted: string): IngressInvalid => new IngressInvalid({ field, accepted })
