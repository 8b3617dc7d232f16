import { format, isPlatformName, parse, parseCustomDomain } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { decodeRecord } from "../decode-record.ts"
import { frozenJson, NotJson } from "../frozen-json.ts"
import type { MachineRoute, Rule } from "../record.ts"
import { InvalidInput, ReservedName } from "./errors.ts"
import type { NewMachine, NewProject, ProjectChanges, ProjectConfig, Redirect } from "../route-registry.ts"
import { PORT_SETTINGS } from "../settings.ts"
import { fields, isObject, list, text } from "../shape.ts"
import type { Shape } from "../shape.ts"

/** A project's public name, in lower case. @throws {ReservedName | InvalidInput} */
export const projectName = (grammar: Grammar, name: unknown): string => {
  if (typeof name !== "string") throw new InvalidInput({ field: "name", accepted: "a string" })
  const slug = name.toLowerCase()
  const hostname = format(grammar, { kind: "project", slug })
  if (typeof hostname === "string") return slug
  const isLabel = /^[a-z\d_-]{1,63}$/.test(slug)
  if (isLabel && parse(grammar, `${slug}.${grammar.domains[0]}`)._tag === "HostnameForeign") {
    throw new ReservedName({ requested: slug })
  }
  const accepted = `at most ${grammar.maxSlugLength} lower-case letters, digits and single inner hyphens, not only digits`
  throw new InvalidInput({ field: "name", accepted })
}

/** A machine's id, in lower case. @throws {InvalidInput} */
export const machineId = (grammar: Grammar, id: unknown): string => {
  const machine = typeof id === "string" ? id.toLowerCase() : ""
  if (typeof format(grammar, { kind: "machine", machine }) === "string") return machine
  const accepted = `${grammar.machinePrefix} and lower-case letters, digits and single inner - or _`
  throw new InvalidInput({ field: "id", accepted })
}

/** A custom domain in lower case, without root dot, perhaps with `*.` before it. @throws {ReservedName | InvalidInput} */
export const domainName = (grammar: Grammar, hostname: unknown): string => {
  const name = typeof hostname === "string" ? hostname.toLowerCase().replace(/\.$/, "") : ""
  const base = baseDomain(name)
  if (isPlatformName(grammar, base)) throw new ReservedName({ requested: name })
  // A single label is a top-level domain, which has many owners.
  if (base.includes(".") && parseCustomDomain(grammar, base, base)._tag === "Target") return name
  throw new InvalidInput({ field: "hostname", accepted: "a domain of two labels or more, or *. and one" })
}

/** The domain that a wildcard is under. */
export const baseDomain = (hostname: string): string => hostname.replace(/^\*\./, "")

/** @throws {InvalidInput} */
export const newProject = (input: NewProject): NewProject => checked(input, newProjectShape) as NewProject

/** @throws {InvalidInput} */
export const projectChanges = (input: ProjectChanges): ProjectChanges => checked(input, changesShape) as ProjectChanges

/** Whose a project is to be; nobody's in an installation without tenants. @throws {InvalidInput} */
export const newOwner = (owner: string | undefined): string | undefined => {
  const misfit = owner === undefined ? undefined : id(owner, "owner")
  if (misfit !== undefined) throw new InvalidInput(misfit)
  return owner
}

/** @throws {InvalidInput} */
export const redirectInput = (input: Redirect): Required<Redirect> => {
  const { to, status = 308 } = checked(input, redirectShape) as Redirect
  const { problem } = decodeRecord({ kind: "redirect", version: 0, epoch: 0, to, status })
  if (problem === undefined) return { to, status }
  throw new InvalidInput(problem)
}

/** A machine, decoded. @throws {InvalidInput} */
export const newMachine = (grammar: Grammar, input: NewMachine): NewMachine => {
  const { owner, region, id, type, externalId, metadata, ...settings } = checked(input, newMachineShape) as NewMachine
  const machine = { id: machineId(grammar, id), type, externalId, metadata }
  validRoute({ ...settings, machine, owner })
  const place = { ...(owner === undefined ? {} : { owner }), ...(region === undefined ? {} : { region }) }
  return { ...machine, ...settings, ...place }
}

/** A project's configuration after changes: fields replaced, `ports` and `services` merged, `null` taken out. */
export const mergeConfig = (config: ProjectConfig, changes: ProjectChanges): ProjectConfig => {
  const merged: Record<string, unknown> = { ...config }
  for (const [field, value] of Object.entries(changes)) {
    const isMerged = (field === "ports" || field === "services") && isObject(value)
    const next = isMerged ? withoutNulls({ ...(merged[field] as object | undefined), ...value }) : value
    if (next === null || next === undefined) delete merged[field]
    else merged[field] = next
  }
  return merged
}

/**
 * Checks a configuration as a record would be checked, whether a machine is attached now or not.
 *
 * @throws {InvalidInput} naming the field
 */
export const validConfig = (project: ProjectConfig, rules: readonly Rule[]): void => {
  const own = Object.entries(project).filter(([field]) => Object.hasOwn(config, field))
  validRoute({ ...Object.fromEntries(own), rules, machine: { id: "any", type: "any", externalId: "", metadata: {} } })
}

const validRoute = (route: Partial<Omit<MachineRoute, "owner">> & { readonly owner?: string | undefined }): void => {
  const { problem } = decodeRecord({ ...route, kind: "machine", version: 0, epoch: 0 })
  if (problem === undefined) return
  const { field, accepted } = problem
  throw new InvalidInput({ field: field.replace(/^machine\./, ""), accepted })
}

/** A copy that nobody else can change, whose field names are known. */
const checked = (input: unknown, shape: Shape): unknown => {
  let copy: unknown
  try {
    copy = frozenJson(input)
  } catch (cause) {
    throw cause instanceof NotJson
      ? new InvalidInput({ field: cause.path, accepted: cause.accepted })
      : new InvalidInput({ field: "", accepted: "plain data" })
  }
  const misfit = shape(copy, "")
  if (misfit !== undefined) throw new InvalidInput(misfit)
  return copy
}

const withoutNulls = (entries: Readonly<Record<string, unknown>>): unknown => {
  const kept = Object.entries(entries).filter(([, value]) => value !== null)
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** Looked at by `decodeRecord`, as part of a whole record. */
const later: Shape = () => undefined
const id = text(/^[^\p{Cc}\p{Cs}]+$/u, "1 to 256 characters")
const settingFields: Readonly<Record<string, Shape>> = Object.fromEntries(
  [...PORT_SETTINGS, "ports"].map((field) => [field, later]),
)
const replicas = list(text(/./, "a machine id"))
const rules = list(
  fields(
    { match: later, targets: list(fields({ machine: text(/./, "a machine id"), port: later, weight: later }), 1) },
    ["match", "targets"],
  ),
)
const config = { ...settingFields, port: later, services: later, balance: later, expiresAt: later, metadata: later }
const orNull =
  (shape: Shape): Shape =>
  (value, path) =>
    value === null ? undefined : shape(value, path)
const changesShape = fields({
  ...config,
  replicas: orNull(replicas),
  rules: orNull(rules),
  externalId: orNull(id),
})
const newProjectShape = fields({ ...config, replicas, rules, name: later, owner: id, externalId: id, machine: id }, [
  "name",
])
const newMachineShape = fields({
  ...settingFields,
  id: later,
  type: later,
  externalId: later,
  metadata: later,
  owner: id,
  region: id,
})
const redirectShape = fields({ to: later, status: later }, ["to"])
