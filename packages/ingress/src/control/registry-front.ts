import type { RouteRegistry } from "@project-ingress/router/stores/memory"
import type { FrontPlan } from "../fronts/front.ts"
import { FrontRefused, SettingsConflict } from "../resource/errors.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import { claimsOf, isAccess, isSame, RULE_SETTINGS } from "./port-settings.ts"
import type { Claim, RuleSetting } from "./port-settings.ts"
import { readFields, readRow, writePort } from "./registry-row.ts"
import type { PortWrite, RegistryRow } from "./registry-row.ts"
import { eachOf } from "./remembered-values.ts"

/** A plan that can be taken back by the next process, if this one is killed. */
export interface RegistryPlan extends FrontPlan {
  readonly writes: readonly PortWrite[]
}

export interface RegistryFront {
  readonly name: "router"
  /** Planning for what is stored itself brings every port to it; planning for anything else looks at the difference alone. */
  readonly plan: (stored: readonly DeclaredIngress[], wanted: readonly DeclaredIngress[]) => Promise<RegistryPlan>
}

/**
 * Writes the settings of rules to the ports that they lead to, in a registry: whatever name leads to a port, its settings count.
 *
 * `set` writes what rules say; `clear` takes away what rules said before and do not any more. A change sets first and clears last,
 * so that a port is not open while the rest of a change is being carried out.
 */
export const registryFront = (registry: RouteRegistry, phase: "set" | "clear"): RegistryFront => ({
  name: "router",
  plan: async (stored, wanted) => {
    const isWhole = wanted === stored
    const after = claimsOf(wanted)
    const before = isWhole ? after : claimsOf(stored)
    const keys = new Set([...before.keys(), ...after.keys()])
    const changed = [...keys].filter((key) => isWhole || !isSame(before.get(key), after.get(key)))
    const writes = new Map<string, PortWrite>()
    await eachOf(changed, async (key) => {
      const [kind = "", id = "", port = ""] = key.split(" ")
      const row = await readRow(registry, `${kind} ${id}`)
      if (row === undefined) {
        if (!isWhole && phase === "set") refuseUnknown(after.get(key) ?? [])
        return
      }
      const write = portWrite(row, Number(port), before, after, phase, isWhole)
      if (write !== undefined) writes.set(`${row.kind} ${row.id} ${port}`, write)
    })
    return planOf(registry, [...writes.values()])
  },
})

/** What has to be restricted must have a place for it. */
const refuseUnknown = (claims: readonly Claim[]): void => {
  for (const { at, settings } of claims) {
    const field = RULE_SETTINGS.find((field) => isAccess(field) && settings[field] !== undefined)
    if (field === undefined) continue
    throw new FrontRefused({ front: "router", field: `${at}.${field}`, reason: "leads to what is not in the registry" })
  }
}

const portWrite = (
  row: RegistryRow,
  port: number,
  before: ReadonlyMap<string, readonly Claim[]>,
  after: ReadonlyMap<string, readonly Claim[]>,
  phase: "set" | "clear",
  isWhole: boolean,
): PortWrite | undefined => {
  const claimed = (claims: ReadonlyMap<string, readonly Claim[]>): readonly Claim[] =>
    row.names
      .flatMap((name) => claims.get(`${name} ${port}`) ?? [])
      .filter(({ owner }) => owner === undefined || owner === row.owner)
  const [old, wanted] = [claimed(before), claimed(after)]
  const own = row.ports[port] ?? {}
  const from: Record<string, unknown> = {}
  const to: Record<string, unknown> = {}
  for (const field of RULE_SETTINGS) {
    const claims = wanted.filter(({ settings }) => settings[field] !== undefined)
    const [first] = claims
    const isOurs = old.some(({ settings }) => settings[field] !== undefined)
    if (first === undefined) {
      if (phase === "set" || !isOurs || own[field] === undefined) continue
    } else {
      if (phase === "clear") continue
      const value = first.settings[field]
      const other = claims.find(({ settings }) => !isSame(settings[field], value))
      if (other !== undefined) {
        // What is stored does not conflict, or was stored by hand.
        if (isWhole) continue
        throw new SettingsConflict({ field: `${other.at}.${field}` })
      }
      if (isSame(own[field], value)) continue
      if (!isWhole && !isOurs) refuseOther(row, port, field, value, first.at)
    }
    from[field] = own[field]
    to[field] = first?.settings[field]
  }
  return Object.keys(to).length === 0 ? undefined : { kind: row.kind, id: row.id, port, before: from, after: to }
}

/** What somebody has set by another way than a rule is not overwritten, nor is access control of all ports. */
const refuseOther = (
  { ports, settings }: RegistryRow,
  port: number,
  field: RuleSetting,
  value: unknown,
  at: string,
): void => {
  const there = ports[port]?.[field] ?? (isAccess(field) ? settings[field] : undefined)
  if (there !== undefined && !isSame(there, value)) throw new SettingsConflict({ field: `${at}.${field}` })
}

const planOf = (registry: RouteRegistry, writes: readonly PortWrite[]): RegistryPlan => {
  const begun: PortWrite[] = []
  return {
    writes,
    problems: [],
    diff: writes
      .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
      .map(shown)
      .join(""),
    validate: async () => undefined,
    apply: async () => {
      for (const write of writes) {
        begun.push(write)
        await writePort(registry, write)
      }
    },
    readBack: async () => {
      for (const write of writes) {
        if (!isSame(await readFields(registry, write), write.after))
          throw new Error(`${nameOf(write)} is not as written`)
      }
    },
    rollBack: async () => {
      while (begun.length > 0) {
        const { before, after, ...place } = begun.at(-1)!
        await writePort(registry, { ...place, before: after, after: before })
        begun.pop()
      }
    },
  }
}

/**
 * Takes back what a killed process wrote and never stored, where it still is as that process left it.
 *
 * @throws whatever the registry rejects with
 */
export const undoWrites = async (
  registry: RouteRegistry,
  writes: readonly PortWrite[],
  ingresses: readonly DeclaredIngress[],
): Promise<void> => {
  const stored = claimsOf(ingresses)
  for (const { before, after, ...place } of writes) {
    const row = await readRow(registry, `${place.kind} ${place.id}`)
    if (row === undefined || row.kind !== place.kind) continue
    const claims = row.names.flatMap((name) => stored.get(`${name} ${place.port}`) ?? [])
    const fields = (Object.keys(after) as readonly RuleSetting[]).filter(
      (field) =>
        isSame(row.ports[place.port]?.[field], after[field]) &&
        !claims.some(({ settings }) => isSame(settings[field], after[field])),
    )
    if (fields.length === 0) continue
    const only = (values: PortWrite["before"]) => Object.fromEntries(fields.map((field) => [field, values[field]]))
    await writePort(registry, { ...place, before: only(after), after: only(before) })
  }
}

const nameOf = ({ kind, id, port }: PortWrite): string => `${kind} ${id} port ${port}`

/** The names of fields alone: what is required of visitors is nobody else's to read. */
const shown = (write: PortWrite): string => {
  const lines = Object.entries(write.after).map(([field, value]) => `${value === undefined ? "-" : "+"} ${field}`)
  return `${nameOf(write)}\n${lines.join("\n")}\n`
}
