import { nearest } from "@project-ingress/router/internal"
import { IngressInvalid } from "../resource/errors.ts"
import { A_LABEL, isLabel } from "./read-request.ts"

/** What the documented JSON of `/add-record` asks for, in either form. */
export interface AddRecord {
  readonly name: string
  readonly port: number | undefined
  readonly protocol: "http" | "https" | undefined
  /** Six fields: an address. Three: a device, by address or name. Absent: the caller's own. */
  readonly target: string | undefined
  /** The field that says the target, for errors. */
  readonly targetField: string
}

const FIELDS = [
  "service_name",
  "name",
  "port",
  "target_device",
  "protocol",
  "ip",
  "forward_to_ip",
  "proxy_enabled",
] as const

/**
 * Reads the body of `/add-record`. With `ip`, `forward_to_ip` or `proxy_enabled` it is the form of six fields, whose `name` is a full one;
 * else the form of three, whose `name` is one label. A port means that there is a proxy, unless `proxy_enabled` is false.
 *
 * @throws {IngressInvalid} naming the field
 */
export const readAddRecord = (body: Readonly<Record<string, unknown>>, address: string): AddRecord => {
  const field = (name: (typeof FIELDS)[number]): unknown => body[name] ?? undefined
  for (const name of Object.keys(body)) {
    if ((FIELDS as readonly string[]).includes(name)) continue
    const near = nearest(name, FIELDS)
    throw invalid(
      name.slice(0, 64),
      `absent: there is no such field${near === undefined ? "" : ` (did you mean ${near}?)`}`,
    )
  }
  if (!isLabel(field("service_name"))) throw invalid("service_name", A_LABEL)
  const name = field("name")
  const [ip, enabled] = [field("ip"), field("proxy_enabled")]
  const [forward, device] = [
    text(field("forward_to_ip"), "forward_to_ip"),
    text(field("target_device"), "target_device"),
  ]
  const port = field("port")
  if (port !== undefined && !(Number.isSafeInteger(port) && (port as number) >= 1 && (port as number) <= 65_535)) {
    throw invalid("port", "an integer from 1 to 65535")
  }
  const protocol = field("protocol")
  if (protocol !== undefined && protocol !== "http" && protocol !== "https") throw invalid("protocol", "http or https")
  const read: Pick<AddRecord, "port" | "protocol"> = { port: port as number | undefined, protocol }
  if (ip === undefined && enabled === undefined && forward === undefined) {
    if (!isLabel(name)) throw invalid("name", A_LABEL)
    return { ...read, name, target: device, targetField: "target_device" }
  }

  if (typeof name !== "string" || !name.includes(".")) throw invalid("name", "a full name")
  if (device !== undefined) throw invalid("target_device", "absent beside ip, forward_to_ip and proxy_enabled")
  if (enabled !== undefined && typeof enabled !== "boolean") throw invalid("proxy_enabled", "true or false")
  if (enabled === true && port === undefined) throw invalid("port", "present with proxy_enabled")
  const own = text(ip, "ip")
  if (port !== undefined && enabled !== false) {
    if (own !== undefined && own !== address) throw invalid("ip", `${address}, the address of the proxy`)
    return { ...read, name, target: forward, targetField: "forward_to_ip" }
  }
  // DNS only: `ip` is where the name leads.
  return {
    name,
    port: undefined,
    protocol: undefined,
    target: own ?? forward,
    targetField: own === undefined ? "forward_to_ip" : "ip",
  }
}

const text = (value: unknown, field: string): string | undefined => {
  if (value === undefined || typeof value === "string") return value === "" ? undefined : value
  throw invalid(field, "text")
}

const invalid = (field: string, accepted: string): IngressInvalid => new IngressInvalid({ field, accepted })
