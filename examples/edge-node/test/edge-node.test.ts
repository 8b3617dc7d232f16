/** What the README says, with processes as it starts them: a real Postgres, two edges, two apps. */
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { generateTicketKeys } from "@project-ingress/forward"
import { openPacked } from "@project-ingress/router/stores/packed"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask, startBalancer } from "../../../packages/router/test/regions/regions.ts"
import type { TestBalancer } from "../../../packages/router/test/regions/regions.ts"
import { noPostgres, startPostgres } from "../../../packages/router/test/registry/postgres-server.ts"
import type { PostgresServer } from "../../../packages/router/test/registry/postgres-server.ts"

const flags = ["--conditions=@project-ingress/source"]
const source = (name: string) => join(import.meta.dirname, "../src", name)

/** A process of the example, and the port that its first line names. */
interface Running {
  readonly port: number
  readonly log: string[]
  /** Resolves with the first line, past or to come, that matches. */
  readonly logged: (pattern: RegExp) => Promise<string>
  readonly stop: () => Promise<unknown>
}

const closing: (() => unknown)[] = []

const start = async (file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Running> => {
  const child: ChildProcess = spawn(process.execPath, [...flags, source(file), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  })
  const log: string[] = []
  const lines = createInterface({ input: child.stdout! }).on("line", (line) => log.push(line))
  const logged = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = log.find((line) => pattern.test(line))
      if (found !== undefined) return found
      await once(lines, "line")
    }
  }
  const exited = once(child, "exit")
  const stop = async () => {
    child.kill("SIGTERM")
    return (await exited)[0]
  }
  closing.push(stop)
  const ended = exited.then(() => Promise.reject(new Error(`${file} ended`)))
  const listening = await Promise.race([logged(/http:\/\/127/), ended])
  return { port: Number(/:(\d+)$/.exec(listening)![1]), log, logged, stop }
}

type Region = "fra" | "iad"

describe.skipIf(noPostgres !== "")(`two regions over one Postgres${noPostgres}`, () => {
  let postgres: PostgresServer
  let folder: string
  let DATABASE_URL: string
  let SIGNING_KEY: string
  const apps = {} as Record<Region, Running>
  const edges = {} as Record<Region, Running>
  const balancers = {} as Record<Region, TestBalancer>

  const registry = async (...args: readonly string[]) => {
    const env = { ...process.env, DATABASE_URL }
    return promisify(execFile)(process.execPath, [...flags, source("registry-command.ts"), ...args], { env })
  }
  const stateOf = (region: Region) => join(folder, `${region}.packed`)
  const startEdge = async (region: Region, key = SIGNING_KEY) => {
    const other = region === "fra" ? "iad" : "fra"
    const BALANCERS = `${other}=http://127.0.0.1:${balancers[other].port}`
    // Seldom: what is seen sooner was notified.
    const POLL_MS = "60000"
    const STATE = stateOf(region)
    const env = { REGION: region, PORT: "0", BALANCERS, SIGNING_KEY: key, DATABASE_URL, POLL_MS, STATE }
    edges[region] = await start("edge.ts", [], env)
    balancers[region].to = edges[region].port
  }
  const get = async (region: Region) => {
    const { status, headers, body } = await ask(edges[region].port, "/", { host: "misha.localhost", from: "127.0.0.9" })
    return status === 200 ? body.match(/GET.*/)?.[0] : `${status} ${headers["x-iterate-proxy-error"]}`
  }

  /** Connections that Postgres notifies. */
  const listeners = async () => {
    const client = new pg.Client(DATABASE_URL)
    await client.connect()
    const { rows } = await client.query("select from pg_stat_activity where query = 'listen project_ingress'")
    await client.end()
    return rows.length
  }
  const bothGet = (expected: string) =>
    expect.poll(async () => [await get("fra"), await get("iad")], { timeout: 30_000 }).toEqual([expected, expected])

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ingress-edge-node-"))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    postgres = await startPostgres()
    closing.push(postgres.close)
    DATABASE_URL = `postgres://${postgres.user}@/postgres?host=${postgres.host}`
    SIGNING_KEY = (await promisify(execFile)(process.execPath, [...flags, source("keys.ts")])).stdout
    await registry("migrate")
    for (const region of ["fra", "iad"] as const) {
      balancers[region] = await startBalancer()
      closing.push(balancers[region].close)
      apps[region] = await start("app.ts", [region, "0"])
      await registry("machine", `mach_${region}`, region, `http://127.0.0.1:${apps[region].port}`)
    }
    await registry("create", "misha")
    for (const region of ["fra", "iad"] as const) await startEdge(region)
  }, 60_000)
  afterAll(async () => {
    for (const close of closing.toReversed()) await close()
  })

  it("both say that a project has no machine", async () => {
    expect([await get("fra"), await get("iad")]).toEqual(["503 MACHINE_DETACHED", "503 MACHINE_DETACHED"])
  })

  it("both see an attach at once, by a notification, and show the app where it runs, for the visitor's own address", async () => {
    await expect.poll(listeners, { timeout: 30_000 }).toBe(2)
    await registry("attach", "misha", "mach_fra")
    await bothGet("GET / in fra, for 127.0.0.9")
    expect([balancers.fra.connections, balancers.iad.connections]).toEqual([1, 0])
    await edges.iad.logged(/200 GET misha\.localhost for 127\.0\.0\.9: sent to the load balancer of region fra/)
    await edges.fra.logged(/200 GET misha\.localhost for 127\.0\.0\.9: in this region, fra/)
  })

  it("both follow a project to a machine of the other region", async () => {
    await registry("attach", "misha", "mach_iad")
    await bothGet("GET / in iad, for 127.0.0.9")
    expect(balancers.iad.connections).toBe(1)
  })

  it("both serve on when Postgres is killed, and one that starts meanwhile serves its last image and says so", async () => {
    for (const region of ["fra", "iad"] as const)
      await expect.poll(() => savedMachine(stateOf(region)), { timeout: 60_000 }).toBe("mach_iad")
    await postgres.kill()
    for (const region of ["fra", "iad"] as const) await edges[region].logged(/routes stale: \d+ routes, \d+ s old: /)
    await bothGet("GET / in iad, for 127.0.0.9")
    expect(await edges.fra.stop()).toBe(0)
    await startEdge("fra")
    await bothGet("GET / in iad, for 127.0.0.9")
    expect(edges.fra.log.filter((line) => line.includes(": routes "))).toEqual([
      expect.stringMatching(/^fra: routes stale: \d+ routes, \d+ s old: /),
    ])
    expect(edges.fra.log.join()).not.toContain(postgres.host)
  }, 120_000)

  it("both follow Postgres again when it is back", async () => {
    await postgres.start()
    for (const region of ["fra", "iad"] as const) await edges[region].logged(/routes recovered/)
    await registry("attach", "misha", "mach_fra")
    await bothGet("GET / in fra, for 127.0.0.9")
    await registry("attach", "misha", "mach_iad")
    await bothGet("GET / in iad, for 127.0.0.9")
    await expect.poll(listeners, { timeout: 60_000 }).toBe(2)
  }, 120_000)

  it("a region that is down is 502 in the other one, and the log says why; it stops by SIGTERM", async () => {
    expect(await edges.iad.stop()).toBe(0)
    await balancers.iad.close()
    expect(await get("fra")).toBe("502 REGION_UNREACHABLE")
    await edges.fra.logged(/502 .* region iad cannot be reached: ECONNREFUSED/)
  })

  it("a region with another key does not believe the hop, and says so", async () => {
    balancers.iad = await startBalancer()
    closing.push(balancers.iad.close)
    await startEdge("iad", JSON.stringify((await generateTicketKeys("other")).signing))
    await edges.fra.stop()
    await startEdge("fra")
    expect(await get("fra")).toBe("GET / in iad, for 127.0.0.1")
    await edges.iad.logged(/hop_refused: a hop is not signed by a key of this router/)
  })

  it("an edge without its variables says which one", async () => {
    const env = { ...process.env, REGION: "" }
    const failed = promisify(execFile)(process.execPath, [...flags, source("edge.ts")], { env })
    await expect(failed).rejects.toMatchObject({ code: 1, stderr: "REGION must be set, for example: fra\n" })
  })
})

/** Where `misha` leads in an edge's file. */
const savedMachine = async (path: string): Promise<string | undefined> => {
  const bytes = await readFile(path).catch(() => undefined)
  if (bytes === undefined) return undefined
  const image = await openPacked(bytes)
  const record = image.recordOf(image.find("p:misha"), "p:misha")
  return record.kind === "machine" ? record.machine.id : record.kind
}
