import { createHash } from "node:crypto"
import { formatPatch, structuredPatch } from "diff"
import { GENERATED_ID } from "../caddy-json.ts"

/** A document with the keys of every object in order, as Caddy gives them back: equal texts are equal configurations. */
export const canonical = (document: unknown, indent?: number): string =>
  JSON.stringify(sorted(document), undefined, indent)

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [key, sorted(each)]),
  )
}

/** Whether it does anything, and was not generated here. */
export const isForeign = (document: unknown): boolean => {
  if (typeof document !== "object" || document === null) return false
  const { "@id": id, apps } = document as Record<string, unknown>
  return id !== GENERATED_ID && typeof apps === "object" && apps !== null && Object.keys(apps).length > 0
}

/** What changes, as a unified diff without secrets. Empty: nothing. */
export const configDiff = (running: unknown, next: unknown): string => {
  if (canonical(running) === canonical(next)) return ""
  const before = isForeign(running) ? "a configuration that was not generated here, and is not shown" : shown(running)
  const after = shown(next)
  return patchOf(before.split("\n"), after.split("\n"))
}

const CONTEXT = 3

/** A unified diff. What is equal at both ends is taken off before, because there are documents of half a million lines. */
const patchOf = (before: readonly string[], after: readonly string[]): string => {
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before[start] === after[start]) start += 1
  let end = 0
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1
  const from = Math.max(0, start - CONTEXT)
  const middle = (all: readonly string[]) => `${all.slice(from, all.length - Math.max(0, end - CONTEXT)).join("\n")}\n`
  // Documents that have little in common take long to compare, and nobody reads that.
  const patch = structuredPatch("running", "planned", middle(before), middle(after), undefined, undefined, {
    context: CONTEXT,
    timeout: 500,
  })
  if (patch === undefined) return `--- running\n+++ planned\n- ${before.length} lines\n+ ${after.length} other lines\n`
  const hunks = patch.hunks.map((hunk) => ({ ...hunk, oldStart: hunk.oldStart + from, newStart: hunk.newStart + from }))
  return formatPatch({ ...patch, hunks })
}

/** Only what is generated: `admin`, `logging` and a `storage` of the operator's stay, and may hold passwords. */
const shown = (document: unknown): string => {
  if (typeof document !== "object" || document === null) return ""
  const { apps, storage } = document as Record<string, unknown>
  const root = (storage as { readonly root?: unknown } | undefined)?.root
  const generated = {
    ...(apps === undefined ? {} : { apps }),
    ...(root === undefined ? {} : { storage: { root } }),
  }
  return canonical(redacted(generated, "", false), 2)
}

const SECRET_KEY = /pass|secret|token|credential|authorization|cookie|api_?key|hash/i

/** The pattern of a required header stands in a `not`; the others are what somebody may have added by hand. */
const redacted = (value: unknown, key: string, isGuard: boolean): unknown => {
  if (typeof value === "string") {
    return (isGuard && key === "pattern") || (SECRET_KEY.test(key) && !/^\{env\.\w+\}$/.test(value))
      ? digest(value)
      : value
  }
  if (Array.isArray(value)) return value.map((each) => redacted(each, key, isGuard))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      redacted(each, SECRET_KEY.test(key) ? key : name, isGuard || name === "not"),
    ]),
  )
}

/** So that a change is seen, and the value is not. */
const digest = (secret: string): string => `(secret ${createHash("sha256").update(secret).digest("hex").slice(0, 8)})`
