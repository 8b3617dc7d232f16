import { formatPatch, structuredPatch } from "diff"
import { withoutSecrets } from "../fronts/secrets.ts"

const CONTEXT = 3
/** Texts that have little in common take long to compare, in ms, and nobody reads what comes of it. */
const TIMEOUT_MS = 500

/** A file on one side of a diff; without a text it is not there. */
export interface DiffSide {
  readonly path: string
  readonly text: string | undefined
}

/**
 * A unified diff of a file without secrets; empty if nothing changes. Only the regions that differ are compared line by line, because there
 * are files of half a million lines. Secrets are taken out of the result: a change of one alone is a change.
 */
export const unifiedDiff = (before: DiffSide, after: DiffSide, secrets: readonly string[]): string => {
  if (before.text === after.text) return ""
  const names = [nameOf(before), nameOf(after)] as const
  const [old, next] = [linesOf(before), linesOf(after)]
  const patches = regionsOf(old, next).map(({ from, oldTo, nextTo }) => {
    const [left, right] = [old.slice(from, oldTo).join(""), next.slice(from, nextTo).join("")]
    const patch = structuredPatch(...names, left, right, "", "", { context: CONTEXT, timeout: TIMEOUT_MS })
    if (patch === undefined) return undefined
    for (const hunk of patch.hunks) {
      hunk.oldStart += from
      hunk.newStart += from
    }
    return patch
  })
  const [first] = patches
  if (first === undefined || patches.includes(undefined))
    return `--- ${names[0]}\n+++ ${names[1]}\n- ${old.length} lines\n+ ${next.length} other lines\n`
  const hunks = patches.flatMap((patch) => patch!.hunks)
  // What comes before is a ruler of the library's.
  return withoutSecrets(formatPatch({ ...first, hunks }).replace(/^(?:Index: .*\n)?=+\n/, ""), secrets)
}

/** Lines that differ, with those around them. */
interface Region {
  readonly from: number
  readonly oldTo: number
  readonly nextTo: number
}

/**
 * A region for each line that was replaced by one other line, far from the next difference, as a version at the top of a file is; and one from
 * the first other difference to the last.
 */
const regionsOf = (old: readonly string[], next: readonly string[]): readonly Region[] => {
  const shorter = Math.min(old.length, next.length)
  const around = (start: number, oldEnd: number, nextEnd: number): Region => ({
    from: Math.max(0, start - CONTEXT),
    oldTo: Math.min(old.length, oldEnd + CONTEXT),
    nextTo: Math.min(next.length, nextEnd + CONTEXT),
  })
  const equalFrom = (at: number): number => {
    let to = at
    while (to < shorter && old[to] === next[to]) to += 1
    return to
  }
  const regions: Region[] = []
  let start = equalFrom(0)
  for (let to = equalFrom(start + 1); to - start > 2 * CONTEXT + 1; to = equalFrom(start + 1)) {
    regions.push(around(start, start + 1, start + 1))
    start = to
  }
  let end = 0
  while (end < shorter - start && old[old.length - 1 - end] === next[next.length - 1 - end]) end += 1
  const isSame = start === old.length && start === next.length
  return isSame ? regions : [...regions, around(start, old.length - end, next.length - end)]
}

const nameOf = ({ path, text }: DiffSide): string => (text === undefined ? "/dev/null" : path)

/** With their line breaks. */
const linesOf = ({ text = "" }: DiffSide): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? []
