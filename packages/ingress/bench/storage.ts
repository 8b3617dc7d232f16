/**
 * 10 000 ingresses in files and in Postgres: read whole, polled, and one committed.
 *
 *     pnpm exec node --conditions=@project-ingress/source packages/ingress/bench/storage.ts
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openPg } from "../../router/test/registry/pg-driver.ts"
import { noPostgres, startPostgres } from "../../router/test/registry/postgres-server.ts"
import type { IngressStorage } from "../src/ingress.ts"
import { fileStorage } from "../src/storage/file/file-storage.ts"
import { postgresStorage } from "../src/storage/postgres.ts"
import { anIngress } from "../src/testing/storage/sample-documents.ts"

const COUNT = 10_000
const rules = (at: number) => ({
  name: `i${at}`,
  rules: [{ match: { hostname: `h${at}.example.com` }, target: { machine: `mach_${at}`, port: 8080 }, tls: true }],
})
const documents = await Promise.all(Array.from({ length: COUNT }, (_, at) => anIngress(`i${at}`, rules(at))))

let version = 1
const changed = (at: number) => ({ ...documents[at]!, version: ++version })

/** The median of some runs, and of this process's time on the processor, in ms: the first depends on who else runs. */
const median = async (runs: number, run: (at: number) => Promise<unknown>): Promise<string> => {
  const times: number[] = []
  const busy: number[] = []
  for (let at = 0; at < runs; at++) {
    const begin = performance.now()
    const before = process.cpuUsage()
    await run(at)
    times.push(performance.now() - begin)
    const { user, system } = process.cpuUsage(before)
    busy.push((user + system) / 1_000)
  }
  const [time, cpu] = [times, busy].map((all) => all.toSorted((a, b) => a - b)[Math.floor(runs / 2)]!.toFixed(1))
  return `${time} ms, ${cpu} ms of processor`
}

const measure = async (name: string, open: () => IngressStorage): Promise<void> => {
  const storage = open()
  const all = await median(1, () => storage.commit({ ifRevision: 0, put: documents, remove: [] }))
  // Until nothing is young.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const whole = await median(5, () => open().read(0))
  let { revision } = await storage.read(0)
  const poll = await median(20, () => storage.read(revision))
  const one = await median(20, async (at) => {
    revision = await storage.commit({ ifRevision: revision, put: [changed(at)], remove: [] })
  })
  const reader = open()
  await reader.read(0)
  const follow = await median(20, async (at) => {
    const before = revision
    revision = await storage.commit({ ifRevision: revision, put: [changed(at)], remove: [] })
    const { whole, documents: read } = await reader.read(before)
    if (whole || read.length !== 1) throw new Error("not incremental")
  })
  console.log({
    storage: name,
    documents: COUNT,
    commitAll: all,
    readWhole: whole,
    poll,
    commitOne: one,
    commitOneAndFollow: follow,
  })
}

const folder = mkdtempSync(join(tmpdir(), "ingress-bench-"))
await measure("files", () => fileStorage(folder))
rmSync(folder, { recursive: true })

if (noPostgres === "") {
  const server = await startPostgres()
  const { pool, driver } = openPg(server, 4)
  const open = () => postgresStorage({ query: driver.query, transaction: driver.transaction })
  await open().migrate()
  await measure("postgres, fsync off", open)
  await pool.end()
  await server.close()
}
