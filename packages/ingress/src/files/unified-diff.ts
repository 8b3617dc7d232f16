import { formatPatch, structuredPatch } from "diff"
import { withoutSecrets } from "../fronts/secrets.ts"

export { withoutSecrets }

const CONTEXT = 3
/** Texts that have little in common take long to compare, in ms, and nobody reads what comes of it. */
const TIMEOUT_MS = 500

/** A file on one side of a diff; without a text it is not there. */
export interface DiffSide {
  readonly path: string
  readonly text: string | undefined
}

/**
 * A unified diff of a file without secrets; empty if nothing changes. What is equal at both ends is taken off before, because there are
 * files of half a million lines. Secrets are taken out of the result: a change of one alone is a change.
 */
export const unifiedDiff = (before: DiffSide, after: DiffSide, secrets: readonly string[]): string => {
  if (before.text === after.text) return ""
  const [names, all] = [[nameOf(before), nameOf(after)] as const, [linesOf(before), linesOf(after)] as const]
  const [old, next] = all
  const shorter = Math.min(old.length, next.length)
  let start = 0
  while (start < shorter && old[start] === next[start]) start += 1
  let end = 0
  while (end < shorter - start && old[old.length - 1 - end] === next[next.length - 1 - end]) end += 1
  const from = Math.max(0, start - CONTEXT)
  const [left, right] = all.map((lines) => lines.slice(from, lines.length - Math.max(0, end - CONTEXT)).join(""))
  const patch = structuredPatch(...names, left!, right!, "", "", { context: CONTEXT, timeout: TIMEOUT_MS })
  if (patch === undefined)
    return `--- ${names[0]}\n+++ ${names[1]}\n- ${old.length} lines\n+ ${next.length} other lines\n`
  const hunks = patch.hunks.map((hunk) => ({ ...hunk, oldStart: hunk.oldStart + from, newStart: hunk.newStart + from }))
  // What comes before is a ruler of the library's.
  return withoutSecrets(formatPatch({ ...patch, hunks }).replace(/^(?:Index: .*\n)?=+\n/, ""), secrets)
}

const nameOf = ({ path, text }: DiffSide): string => (text === undefined ? "/dev/null" : path)

/** With their line breaks. */
const linesOf = ({ text = "" }: DiffSide): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? []
