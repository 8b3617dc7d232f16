import type { Grammar } from "@project-ingress/hostname"

/**
 * Whether a value is what `defineGrammar` returns, and not the options it takes or a copy in JSON, which has lost its maps. The
 * grammar of another copy of the package counts.
 */
export const isGrammar = (value: unknown): value is Grammar => {
  if (!isRecord(value) || !isRecord(value["lookup"])) return false
  const { domains, reserved, ports } = value["lookup"]
  return (
    Array.isArray(domains) &&
    hasMethod(reserved, "has") &&
    hasMethod(ports, "get") &&
    Object.entries(types).every(([field, type]) => typeof value[field] === type)
  )
}

const types = {
  domains: "object",
  defaultPort: "number",
  machinePrefix: "string",
  machinesLabel: "string",
  services: "object",
  reserved: "object",
  separator: "string",
  maxSlugLength: "number",
} satisfies Record<Exclude<keyof Grammar, "lookup">, string>

const hasMethod = (value: unknown, name: string): boolean => isRecord(value) && typeof value[name] === "function"

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null
