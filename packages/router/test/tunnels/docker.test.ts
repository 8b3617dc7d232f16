import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { machineKey } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything, onlyInAll } from "../../../../test/requirements.ts"
import { signing } from "../../../machine-proxy/test/harness.ts"
import { engineMissing, removeMachines } from "../../../providers/test/engine.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { binaries, noPostgres } from "../registry/postgres-server.ts"
import { runPostgresMachine } from "./docker-postgres.ts"
import { forwardTo, stopForwards } from "./forwarded.ts"
import { routerFor } from "./router.ts"

const run = promisify(execFile)
const missing = (await engineMissing()) ?? (noPostgres === "" ? undefined : noPostgres.slice(2))
const reason = everything && missing !== undefined ? `: ${missing}` : onlyInAll

describe.skipIf(!everything || missing !== undefined)(`a database in a container${reason}`, () => {
  afterAll(async () => {
    stopForwards()
    await removeMachines()
  })
  let local: number
  let close: () => Promise<unknown>
  beforeAll(async () => {
    const id = "mach_db"
    const machine = await runPostgresMachine(id, { key: await machineKey(signing, id), binaries: binaries! })
    const router = routerFor({
      machine: id,
      origin: { port: machine.port },
      signingKey: signing,
      ports: { 5432: { protocol: "tcp" } },
    })
    const host = await serveNode(router).listen({ hostname: "127.0.0.1" })
    close = () => host.close({ deadlineMs: 0 })
    local = (await forwardTo(5432, host.port)).port
  }, 120_000)
  afterAll(() => close())

  const flags = () => ["-h", "127.0.0.1", "-p", String(local), "-U", "ingress", "-d", "postgres", "-X"]
  const psql = (...commands: readonly string[]): Promise<{ readonly stdout: string }> =>
    run("psql", [...flags(), "-At", "-q", ...commands.flatMap((each) => ["-c", each])])

  it("answers psql, and copies 5 MB out and in, unchanged", { timeout: 120_000 }, async () => {
    // It is being made: until then its port is closed.
    await expect.poll(() => psql("select 6 * 7").then(({ stdout }) => stdout, String), { timeout: 90_000 }).toBe("42\n")
    const folder = mkdtempSync(join(tmpdir(), "ingress-tunnel-"))
    try {
      const [out, again] = [join(folder, "out"), join(folder, "again")]
      await psql(
        "create table lines as select n, md5(n::text) || repeat('x', 1000) as line from generate_series(1, 5000) n",
        `\\copy (select * from lines order by n) to '${out}'`,
        "truncate lines",
        `\\copy lines from '${out}'`,
        `\\copy (select * from lines order by n) to '${again}'`,
      )
      expect(readFileSync(out).length).toBeGreaterThan(5_000_000)
      expect(readFileSync(again).equals(readFileSync(out))).toBe(true)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it("ends the client's side when the server ends a connection", { timeout: 60_000 }, async () => {
    const error = await psql("select pg_terminate_backend(pg_backend_pid())").then(
      () => "",
      ({ stderr }: { readonly stderr: string }) => stderr,
    )
    expect(error).toContain("terminating connection due to administrator command")
  })
})
