import { randomId } from "@project-ingress/router/internal"
import type { PortWrite } from "./registry-row.ts"

/** The note of a change: what it writes to a registry, so that it can be taken back; and which change it is, as no two are alike. */
export const writeJournal = (writes: readonly PortWrite[]): string =>
  // A field that is cleared has to stay in it.
  JSON.stringify({ change: randomId(20), writes }, (_, value: unknown) => (value === undefined ? null : value))

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
