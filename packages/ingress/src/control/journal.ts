import { randomId } from "@project-ingress/router/internal"
import type { PortWrite } from "./registry-row.ts"

/** Storages keep notes of at most 65 536 characters. */
const MAX_CHARACTERS = 60_000

/**
 * The note of a change: what it writes to a registry, so that it can be taken back; and which change it is, as no two are alike. Of
 * more than fits the rest stays after a crash, which restricts ports and opens none.
 */
export const writeJournal = (writes: readonly PortWrite[]): string => {
  const parts: string[] = []
  let characters = 0
  for (const write of writes) {
    // A field that is cleared has to stay in it.
    const part = JSON.stringify(write, (_, value: unknown) => (value === undefined ? null : value))
    characters += part.length + 1
    if (characters > MAX_CHARACTERS) break
    parts.push(part)
  }
  return `{"change":"${randomId(20)}","writes":[${parts.join(",")}]}`
}

/** What may have to be taken back. A note that cannot be read says nothing: every start compares all of it anyway. */
export const readJournal = (note: string): readonly PortWrite[] => {
  try {
    const { writes } = JSON.parse(note) as { readonly writes: readonly PortWrite[] }
    return writes.map(({ kind, id, port, before, after }) => {
      return { kind, id, port, before: absent(before), after: absent(after) }
    })
  } catch {
    return []
  }
}

const absent = (values: object): PortWrite["after"] =>
  Object.fromEntries(Object.entries(values).map(([field, value]) => [field, value === null ? undefined : value]))
