/** The Dockerfile, built without a registry from the sources that are here, and run on a real Postgres. */
import { chmodSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { join } from "node:path"
import { build } from "esbuild"
import pg from "pg"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { baseMissing, dockerBuild, inFolder, makeBase, run } from "../../../../examples/machine-image/test/image.ts"
import { engineMissing } from "../../../providers/test/engine.ts"
import { freePort } from "../../../../test/free-port.ts"
import { everything, onlyInAll } from "../../../../test/requirements.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { ask, startApp } from "./edge-process.ts"
import { addApp, postgresTables, REGION } from "./edgeproxy-tables.ts"

const router = join(import.meta.dirname, "../..")
const image = `project-ingress-test/edge:${process.pid}`

/** What `npm install` takes: one file of a package, so that neither a build nor a registry is needed. */
const tarball = (name: string, entry: string, file: string, more: object): Promise<void> =>
  inFolder(async (folder) => {
    await build({
      entryPoints: [entry],
      outfile: join(folder, "package/dist/index.js"),
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node22",
      conditions: ["@project-ingress/source"],
      external: ["pg", "pg-native"].filter((each) => each !== name),
      banner: { js: 'import { createRequire as r } from "node:module"; const require = r(import.meta.url);' },
      logLevel: "error",
    })
    const manifest = { name, version: "0.0.0", type: "module", exports: "./dist/index.js", ...more }
    await writeFile(join(folder, "package/package.json"), JSON.stringify(manifest))
    await run("tar", ["-czf", file, "package"], folder)
  })

describe.skipIf(!everything || noPostgres !== "")(`the image of the edge${onlyInAll}${noPostgres}`, () => {
  let why: string | undefined
  let server: PostgresServer | undefined
  const containers: string[] = []

  beforeAll(async () => {
    why = (await engineMissing()) ?? (await baseMissing())
    if (why !== undefined) return
    const base = await makeBase().catch((error: unknown) => {
      why = `no base image can be made: ${String(error).split("\n")[0]}`
    })
    if (base === undefined) return
    await inFolder(async (folder) => {
      const bin = { "project-ingress-edge": "dist/index.js" }
      await tarball("@project-ingress/router", join(router, "src/edge-command.ts"), join(folder, "router.tgz"), { bin })
      await tarball("pg", createRequire(import.meta.url).resolve("pg"), join(folder, "pg.tgz"), {})
      await writeFile(join(folder, "Dockerfile"), `FROM ${base}\nCOPY router.tgz pg.tgz /opt/\n`)
      await dockerBuild(folder, `${image}-base`)
    })
    await inFolder(async (folder) => {
      await run("cp", [join(router, "Dockerfile"), folder])
      await dockerBuild(folder, image, { BASE: `${image}-base`, ROUTER: "/opt/router.tgz", PG: "/opt/pg.tgz" })
    })
    server = await startPostgres()
    // The image's user is another one.
    chmodSync(server.host, 0o755)
  }, 600_000)
  afterAll(async () => {
    if (containers.length > 0) await run("docker", ["rm", "--force", ...containers])
    await run("docker", ["image", "rm", "--force", image, `${image}-base`]).catch(() => undefined)
    await server?.close()
  })
  beforeEach(({ skip }) => {
    if (why !== undefined) skip(why)
  })

  const start = async (variables: Readonly<Record<string, string>>): Promise<string> => {
    const given = Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`])
    const folder = `${server!.host}:${server!.host}`
    const id = await run("docker", ["run", "--detach", "--network=host", "--volume", folder, ...given, image])
    containers.push(id)
    return id
  }
  const logOf = (id: string): Promise<string> => run("docker", ["logs", id])

  it("serves the domains of the tables as a user of no power, is healthy, and stops with 0", async () => {
    const app = await startApp((_, response) => response.end("app"))
    const client = new pg.Client({ host: server!.host, user: server!.user, database: "postgres" })
    await client.connect()
    await client.query(postgresTables)
    await client.query(addApp({ domain: "app.example.com", port: app.port }))
    await client.end()
    const port = await freePort()
    const id = await start({
      EDGEPROXY_DATABASE_URL: `postgres:///postgres?host=${server!.host}&user=${server!.user}`,
      EDGEPROXY_REGION_ID: REGION,
      EDGEPROXY_HTTP_ADDR: `127.0.0.1:${port}`,
      INGRESS_EDGE_ALLOW_CIDRS: "127.0.0.0/8",
    })
    await expect.poll(() => logOf(id), { timeout: 60_000 }).toContain('"message":"routes updated"')
    expect(await ask(port, "app.example.com", { path: "/x" })).toMatchObject({ status: 200, body: "app" })
    const inspected = (format: string) => run("docker", ["inspect", "--format", format, id])
    await expect.poll(() => inspected("{{.State.Health.Status}}"), { timeout: 60_000 }).toBe("healthy")
    expect(await run("docker", ["exec", id, "id", "-un"])).toBe("node")
    await run("docker", ["stop", "--time", "35", id])
    expect(await logOf(id)).toContain('"message":"edgeproxy stopped gracefully"')
    expect(await inspected("{{.State.ExitCode}}")).toBe("0")
    await app.close()
  }, 180_000)

  it("ends with 1 and says which variables it needs", async () => {
    const id = await start({})
    expect(await run("docker", ["wait", id])).toBe("1")
    const log = await logOf(id)
    expect(log).toContain("EDGEPROXY_DATABASE_URL: is not set")
    expect(log).toContain("invalid region id")
  }, 60_000)
})
