/** D1 with a read replica that lags: two databases in workerd, because miniflare's has no replica. */
import type { D1Binding, D1Session, D1Statement } from "../../src/stores/d1.ts"
import { startD1 } from "./d1-worker.ts"

export const startReplicatedD1 = async () => {
  const [primary, replica] = await Promise.all([startD1(), startD1()])
  /** Batches of the primary that have written, in order, as the replica will run them. */
  const written: D1Statement[][] = []
  let replicated = 0
  const reads: string[] = []

  const bookmarkOf = (count: number): string => String(count).padStart(8, "0")
  const withSession = (constraint: string): D1Session => {
    let bookmark: string | null = null
    const atReplica =
      constraint === "first-unconstrained" || (constraint !== "first-primary" && constraint <= bookmarkOf(replicated))
    return {
      prepare: (text) => primary.binding.prepare(text),
      getBookmark: () => bookmark,
      batch: async (statements) => {
        const isRead = statements.every((statement) =>
          /^\s*select/i.test((statement as unknown as { text: string }).text),
        )
        if (isRead && atReplica) {
          reads.push("replica")
          bookmark = bookmarkOf(replicated)
          return replica.binding.batch(statements)
        }
        if (isRead) reads.push("primary")
        const results = await primary.binding.batch(statements)
        if (!isRead) written.push(statements)
        bookmark = bookmarkOf(written.length)
        return results
      },
    }
  }
  const binding: D1Binding = { ...primary.binding, withSession }

  return {
    /** The database as one isolate has it. */
    binding,
    /** Where has been read since the last call. */
    reads: () => reads.splice(0),
    catchUp: async () => {
      for (const statements of written.slice(replicated)) await replica.binding.batch(statements)
      replicated = written.length
    },
    close: async () => void (await Promise.all([primary.close(), replica.close()])),
  }
}
