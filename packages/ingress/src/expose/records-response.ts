import type { DnsError } from "../dns/errors.ts"
import type { IngressError } from "../resource/errors.ts"
import type { RevisionConflict } from "../storage/ingress-storage.ts"
import type { Exposed } from "./exposed.ts"

/** A record as `/add-record` and `/list-records` have it. */
export const recordJson = (exposed: Exposed, name: string): object => {
  const { type, content, route, createdAt, updatedAt } = exposed
  return {
    name,
    type,
    ip: content,
    ...(route && {
      proxy_rule: {
        enabled: true,
        target_ip: route.target,
        target_port: route.port,
        protocol: route.protocol,
        hostname: exposed.name,
        created_at: new Date(route.createdAt).toISOString(),
      },
    }),
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
  }
}

/** Their own texts, which clients may compare. */
export const plainError = (status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(`${text}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers } })

export const jsonError = (
  status: number,
  error: string,
  more: object = {},
  headers: Readonly<Record<string, string>> = {},
): Response => Response.json({ error, ...more }, { status, headers })

/**
 * The response to a failure: 400 naming the field, 409 for what is taken, 502 for DNS and fronts, 500 with the documented text for all
 * else. No cause is shown.
 */
export const failureResponse = (thrown: unknown, targetField: string, verb: "add" | "remove" | "list"): Response => {
  const error = thrown as IngressError | DnsError | RevisionConflict | undefined
  switch (error?._tag) {
    case "IngressInvalid": {
      const field = fieldName(error.field, targetField)
      return jsonError(400, `${field} must be ${error.accepted}`, { field })
    }
    case "RecordInvalid": {
      const field = fieldName(error.field === "content" ? "target" : "name", targetField)
      return jsonError(400, `${field} must be ${error.accepted}`, { field })
    }
    case "HostnameReserved":
      return jsonError(400, "name is reserved by the platform", { field: "name" })
    case "HostnameNotAllowed":
      return jsonError(400, "name is not allowed", { field: "name" })
    case "RecordInUse":
      return jsonError(409, "name has a DNS record that was not made here", { field: "name" })
    case "HostnameInUse":
    case "NameTaken":
      return jsonError(409, "name is in use", { field: "name" })
    case "RevisionConflict":
    case "VersionConflict":
      return jsonError(409, "the record was changed meanwhile", { field: "name" })
    case "PortInUse":
      return jsonError(409, "the proxy cannot listen on the port of this name")
    case "DnsFailed": {
      const retry =
        error.retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(error.retryAfterMs / 1_000)) }
      return jsonError(502, `failed to ${verb} DNS record`, {}, retry)
    }
    case "FrontFailed":
    case "FrontRefused":
      return jsonError(502, `failed to ${verb} proxy rule`)
    default:
      return plainError(500, FAILED[verb])
  }
}

const FAILED = {
  add: "Failed to create record",
  remove: "Failed to remove record",
  list: "Failed to list records",
} as const

/** A field of ours, or of the ingress, by the name that the request has for it. */
const fieldName = (field: string, targetField: string): string => {
  if (field === "target" || field.startsWith("rules.0.target")) return targetField
  return field.startsWith("rules.0.match") ? "name" : field
}
