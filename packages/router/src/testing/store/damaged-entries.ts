import type { RouteKey } from "../../stores/record.ts"
import type { DamageEntry } from "./store-fixture.ts"

/** How the text of an entry is damaged. */
export type Damage = "corrupt" | "truncated" | "foreign"

/** Where a source keeps its entries as JSON text. */
export interface EntryTexts {
  /** The entry's text as it is kept. */
  readonly read: (key: RouteKey) => string | null | undefined | Promise<string | null | undefined>
  /** Writes another text in its place, without a look at it. */
  readonly write: (key: RouteKey, text: string) => unknown
}

/**
 * Faults of single entries, for a `StoreFixture`: of a source that keeps each as JSON text. `foreign` raises the number `v` of an
 * entry that says its format, and gives a record a `kind` that nobody knows.
 *
 * ```ts
 * const faults = damagedEntries({ read: (key) => redis.hGet("routes", key), write: (key, text) => redis.hSet("routes", key, text) })
 * ```
 */
export const damagedEntries = ({ read, write }: EntryTexts): Readonly<Record<Damage, DamageEntry>> => {
  const damage =
    (how: Damage): DamageEntry =>
    async (key) => {
      const text = await read(key)
      if (typeof text !== "string") throw new TypeError(`damagedEntries: there is no entry ${key}`)
      await write(key, damagedText(text, how))
    }
  return { corrupt: damage("corrupt"), truncated: damage("truncated"), foreign: damage("foreign") }
}

/** A JSON text with damage. */
export const damagedText = (text: string, how: Damage): string => {
  if (how === "corrupt") return text.replaceAll('"', "'")
  if (how === "truncated") return text.slice(0, text.length / 2)
  const fields = JSON.parse(text) as { readonly v?: unknown; readonly kind?: unknown }
  return JSON.stringify({
    ...fields,
    ...(typeof fields.v === "number" ? { v: fields.v + 1_000 } : {}),
    ...(fields.kind === undefined ? {} : { kind: "of-a-later-format" }),
  })
}
