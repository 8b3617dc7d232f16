/** Run-time validation of what types alone do not guarantee: providers and their endpoints. */
import { A_PUBLIC_KEY_PIN, isPublicKeyPin, isToken } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, machineRef } from "./errors.ts"
import type { Endpoint, Machine, MachineProvider } from "./machine-provider.ts"
import { AN_ORIGIN, isOrigin } from "./origin.ts"

/**
 * Providers by their types.
 *
 * @throws {TypeError} naming the invalid one, or the second one of a type
 */
export const validProviders = (providers: readonly MachineProvider[]): ReadonlyMap<string, MachineProvider> => {
  const byType = new Map<string, MachineProvider>()
  for (const [at, provider] of (providers as readonly unknown[]).entries()) {
    if (!isProvider(provider)) {
      throw new TypeError(`providers[${at}] must be what an adapter gives: fly({ token }), not fly`)
    }
    const { type, capabilities } = provider
    if (!Array.isArray(capabilities.interceptedHeaders)) {
      throw new TypeError(`providers[${at}].capabilities.interceptedHeaders must be an array of lower-case names`)
    }
    if (byType.has(type)) throw new TypeError(`providers[${at}] has the type ${type}, as another one before it`)
    byType.set(type, provider)
  }
  return byType
}

/** Whether a value has what every provider has. */
export const isProvider = (value: unknown): value is MachineProvider => {
  const { type, resolve, capabilities } = (value ?? {}) as Partial<MachineProvider>
  return typeof type === "string" && type !== "" && typeof resolve === "function" && isObject(capabilities)
}

/**
 * An endpoint with its origin in normal form. An adapter builds origins from what an API returns; one with a path or
 * credentials would send requests elsewhere. Throws `MachineRecordInvalid` with a field of `endpoint`.
 */
export const validEndpoint = (endpoint: Endpoint, machine: Machine): Endpoint => {
  const refuse = (field: string, accepted: string): never => {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: `endpoint.${field}`, accepted })
  }
  const { origin, headers = {}, epoch, ttlMs, expiresAt, fetch, machineProxy, addresses, pin } = endpoint
  if (!isOrigin(origin)) refuse("origin", AN_ORIGIN)
  // Refused here because a runtime that refuses one repeats its value, which may be a secret.
  const plain = isObject(headers) && !(headers instanceof Headers)
  if (!plain || !Object.entries(headers).every(([name, value]) => isField(name, value))) {
    refuse("headers", "an object of names and values that HTTP allows")
  }
  if (typeof epoch !== "string") refuse("epoch", "a text that changes with every incarnation")
  if (typeof ttlMs !== "number" || !(ttlMs >= 0)) refuse("ttlMs", "a number of ms, 0 or more")
  // In seconds it would have been over since 1970.
  if (expiresAt !== undefined && !(expiresAt > 1e11)) refuse("expiresAt", "a time in ms since 1970")
  if (fetch !== undefined && typeof fetch !== "function") refuse("fetch", "a function")
  if (machineProxy !== undefined && (machineProxy as unknown) !== false) refuse("machineProxy", "false, or absent")
  if (addresses !== undefined && !isObject(addresses)) refuse("addresses", "an object with allowCidrs and allowHosts")
  if (pin !== undefined) {
    if (!isPublicKeyPin(pin)) refuse("pin", A_PUBLIC_KEY_PIN)
    if (fetch !== undefined) refuse("pin", "absent beside fetch, which shows no key")
    if (!/^https:/i.test(origin)) refuse("origin", "https:// beside a pin")
  }
  return { ...endpoint, origin: new URL(origin).origin }
}

// More than an adapter's author may write: what comes from a vendor is sent as it is, as long as it is one field.
const isField = (name: string, value: unknown): boolean =>
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  isToken(name) && typeof value === "string" && !/[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/.test(value)

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)
