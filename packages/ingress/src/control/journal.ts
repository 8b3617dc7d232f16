import type { PortWrite } from "./registry-row.ts"

/** What the note of a change says: enough to take back what it wrote to a registry. */
export interface Journal {
  readonly at: number
  readonly writes: readonly PortWrite[]
}

export const writeJournal = ({ at, writes }: Journal): string =>
  // A field that is cleared has to stay in it.
  JSON.stringify({ at, writes }, (_, value: unknown) => (value === undefined ? null : value))

/** What a note says. One that cannot be read says nothing: every start compares all of it anyway. */
export const readJournal = (note: string): Journal => {
  try {
    const { at, writes } = JSON.parse(note) as { at: number; writes: readonly PortWrite[] }
    return {
      at,
      writes: writes.map(({ kind, id, port, before, after }) => {
        return { kind, id, port, before: absent(before), after: absent(after) }
      }),
    }
  } catch {
    return { at: 0, writes: [] }
  }
}

const absent = (values: object): PortWrite["after"] =>
  Object.fromEntries(Object.entries(values).map(([field, value]) => [field, value === null ? undefined : value]))
