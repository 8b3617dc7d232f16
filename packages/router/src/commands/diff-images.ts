import { diffPacked } from "../stores/packed.ts"
import type { PackedChange, PackedImage } from "../stores/packed.ts"

interface DiffOptions {
  /** Every difference, not only the first ones. */
  readonly all: boolean
  readonly json: boolean
  readonly print: (line: string) => void
}

/** How many differences people are shown. */
const SHOWN = 50

/** Prints what differs between two images. True if anything does. */
export const diffImages = async (
  before: PackedImage,
  after: PackedImage,
  { all, json, print }: DiffOptions,
): Promise<boolean> => {
  const counts = { added: 0, removed: 0, changed: 0 }
  let total = 0
  for await (const change of diffPacked(before, after)) {
    counts[change.change] += 1
    total += 1
    if (json) print(JSON.stringify(change))
    else if (all || total <= SHOWN) print(lineOf(change))
  }
  if (json) return total > 0
  if (!all && total > SHOWN) print(`… and ${total - SHOWN} more: --all`)
  const { added, removed, changed } = counts
  print(`${added} added, ${removed} removed, ${changed} changed, ${before.routes - removed - changed} the same`)
  return total > 0
}

const lineOf = (change: PackedChange): string => {
  if (change.change === "added") return `+ ${change.key}  ${change.after.kind}, version ${change.after.version}`
  if (change.change === "removed") return `- ${change.key}  ${change.before.kind}, version ${change.before.version}`
  const { key, before, after } = change
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  const differing = [...names].filter((name) => name !== "version" && field(before, name) !== field(after, name))
  return `~ ${key}  version ${before.version} → ${after.version}: ${differing.join(", ") || "nothing else"}`
}

const field = (record: object, name: string): string | undefined =>
  JSON.stringify((record as Readonly<Record<string, unknown>>)[name])
