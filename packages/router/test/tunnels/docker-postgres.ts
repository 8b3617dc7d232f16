/** A real machine of the Docker Engine with a real database: the binaries of this computer, and the machine proxy's bundle. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import type { VerificationKey } from "@project-ingress/forward"
import { bundledServer } from "../../../providers/test/docker-machine.ts"
import { importNodeImage, runMachine } from "../../../providers/test/engine.ts"
import type { RunningMachine } from "../../../providers/test/engine.ts"

const run = promisify(execFile)

/** initdb and postgres refuse to run as root; the database listens on loopback of its container alone. */
const source = `
import { spawn, spawnSync } from "node:child_process"
import { chownSync, mkdirSync } from "node:fs"
import { createServer } from "node:net"
import { createMachineProxy } from "./machine-proxy/src/machine-proxy.ts"
const { MACHINE, KEYS, BINARIES } = process.env
const as = { uid: 1000, gid: 1000, cwd: "/data", env: { PATH: "/bin", LC_ALL: "C", TZ: "UTC" }, stdio: "inherit" }
mkdirSync("/data")
chownSync("/data", 1000, 1000)
const made = spawnSync(BINARIES + "/initdb", ["-D", "/data/db", "-U", "ingress", "-A", "trust", "--no-sync", "--no-locale"], as)
if (made.status !== 0) throw new Error("initdb ended with " + made.status)
const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=/data", "fsync=off"]
spawn(BINARIES + "/postgres", ["-D", "/data/db", ...settings.flatMap((each) => ["-c", each])], as)
createServer(createMachineProxy({ machine: MACHINE, keys: JSON.parse(KEYS) }).connection).listen(8080)
`

/** Starts a machine that tickets name `id`. Port 8080 of it is published on loopback, and its Postgres is on port 5432. */
export const runPostgresMachine = async (
  id: string,
  { key, binaries }: { readonly key: VerificationKey; readonly binaries: string },
): Promise<RunningMachine & { readonly port: number }> => {
  const environment = [`MACHINE=${id}`, `KEYS=${JSON.stringify([key])}`, `BINARIES=${binaries}`]
  const machine = await runMachine({
    image: await importNodeImage(),
    files: {
      "/app/server.mjs": await bundledServer(source),
      "/etc/passwd": "root:x:0:0:root:/:/bin/sh\nowner:x:1000:1000:owner:/data:/bin/sh\n",
    },
    options: ["--publish", "127.0.0.1::8080", ...environment.flatMap((each) => ["--env", each])],
    start: false,
  })
  await copyPostgres(machine, binaries)
  await machine.docker("start")
  const { stdout } = await run("docker", ["port", machine.id, "8080"])
  return { ...machine, port: Number(/:(\d+)/.exec(stdout)![1]) }
}

/** The server with its libraries, and the shell by which initdb runs it. */
const copyPostgres = async ({ id }: RunningMachine, binaries: string): Promise<void> => {
  const root = await mkdtemp(join(tmpdir(), "ingress-postgres-image-"))
  try {
    const put = async (file: string, at = file): Promise<void> => {
      await mkdir(dirname(join(root, at)), { recursive: true })
      await symlink(await realpath(file), join(root, at)).catch((error: { readonly code?: string }) => {
        if (error.code !== "EEXIST") throw error
      })
    }
    const programs = [join(binaries, "initdb"), join(binaries, "postgres"), "/bin/sh"]
    for (const program of programs) {
      await put(program)
      const { stdout } = await run("ldd", [program])
      for (const library of stdout.match(/\/[^\s:()]+/g) ?? []) await put(library)
    }
    const version = binaries.split("/").at(-2)!
    await put(`/usr/share/postgresql/${version}`)
    await put(`/usr/share/zoneinfo/UTC`)
    for (const name of ["dict_snowball.so", "plpgsql.so"]) {
      await put(`/usr/lib/postgresql/${version}/lib/${name}`)
    }
    await writeFile(join(root, "empty"), "")
    // `tar -h` follows the links; `docker cp -` takes what it writes.
    await run("sh", ["-c", `tar -C "${root}" -ch . | docker cp - "${id}:/"`])
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
