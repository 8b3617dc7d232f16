/** A row by column. Drivers differ in how they give a bigint: read it with `Number`. */
export type SqlRow = Readonly<Record<string, unknown>>

/** The rows in whatever a driver's query resolved with: rows themselves, or an object that has them; `undefined` for anything else. */
export const resultRows = (result: unknown): readonly SqlRow[] | undefined => {
  if (Array.isArray(result)) return result as readonly SqlRow[]
  // `pg` and PGlite say `rows`, D1 `results`.
  const { rows, results } = (result ?? {}) as { readonly rows?: unknown; readonly results?: unknown }
  if (Array.isArray(rows)) return rows as readonly SqlRow[]
  return Array.isArray(results) ? (results as readonly SqlRow[]) : undefined
}
