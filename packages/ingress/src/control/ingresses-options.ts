import { accept, checkOptions, isGrammar } from "@project-ingress/router/internal"
import { IngressInvalid } from "../resource/errors.ts"
import type { ChangeOptions, IngressesOptions } from "./ingresses.ts"
import { isHostnamePattern } from "./reserved.ts"

/** @throws {TypeError} naming the option */
export const checkIngressesOptions = (options: IngressesOptions): void => {
  checkOptions(
    "createIngresses",
    options,
    {
      storage: (value) => (hasMethods(value, "read", "commit") ? undefined : "an IngressStorage, as memoryStorage()"),
      grammar: (value) => (isGrammar(value) ? undefined : "a grammar made by defineGrammar"),
      store: (value) => (hasMethods(value, "get") ? undefined : "a RouteStore"),
      registry: (value) =>
        hasMethods(value, "read", "readMachine", "configure", "putMachine") ? undefined : "a RouteRegistry",
      fronts,
      address: accept.function,
      internalZone: (value) =>
        isHostnamePattern(value) && !/[*{]/.test(String(value)) ? undefined : "a domain: machines.internal",
      findMachine: accept.function,
      reservedHostnames: accept.array((value) => (isHostnamePattern(value) ? undefined : "a hostname")),
      tlsDomains: accept.array((value) =>
        value === "*" || isHostnamePattern(value) ? undefined : "a domain, *. and one, or *",
      ),
      authorizeHostname: accept.function,
      authorizeUrl: accept.function,
      publicPorts: (value) =>
        typeof value === "object" &&
        value !== null &&
        Object.entries(value).every(([from, to]) => isPort(Number(from)) && isPort(to))
          ? undefined
          : "ports by port",
      pollMs: accept.number(100, 60_000),
      stepTimeoutMs: accept.number(1, 600_000),
      onEvent: accept.function,
      now: accept.function,
    },
    { required: ["storage", "grammar", "store"] },
  )
}

/** What the `owner` of a call may be: an empty one is a mistake that must not be the operator. */
const owner = (value: unknown): string | undefined =>
  typeof value === "string" && /^[^\p{Cc}\p{Cs}]{1,256}$/u.test(value) ? undefined : "1 to 256 characters"

const ofChange = { owner, ifVersion: accept.integer(1), dryRun: accept.boolean }

/** @throws {TypeError} */
export const checkCall = (name: string, options: ChangeOptions, allowed: readonly (keyof typeof ofChange)[]): void => {
  checkOptions(`ingresses.${name}`, options, Object.fromEntries(allowed.map((each) => [each, ofChange[each]])))
}

/** @throws {IngressInvalid} */
export const checkText = (field: string, value: unknown): string => {
  if (owner(value) !== undefined) throw new IngressInvalid({ field, accepted: "1 to 256 characters" })
  return value as string
}

const fronts = (value: unknown): string | undefined => {
  const wrong = accept.array((front) => {
    const isFront = hasMethods(front, "plan") && typeof front["name"] === "string"
    // The name stands in errors, and `router` in the status.
    return isFront && /^(?!router$)[a-z\d][a-z\d-]{0,62}$/.test(String(front["name"]))
      ? undefined
      : "a front with a name of lower-case letters, digits and hyphens, not router"
  })(value)
  if (wrong !== undefined) return wrong
  const names = (value as readonly { readonly name: string }[]).map(({ name }) => name)
  return new Set(names).size === names.length ? undefined : "an array of fronts with different names"
}

const hasMethods = (value: unknown, ...methods: readonly string[]): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === "function")

const isPort = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65_535
