/** A Postgres server of our own in a temporary folder, reached by its socket: nothing of the machine's is touched. */
import { execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"

export interface PostgresServer {
  /** For the `host` of a client: the folder of the socket. */
  readonly host: string
  /** The port of loopback, where one was asked for. */
  readonly port?: number
  readonly user: string
  /** Ends the server as a crash does. */
  readonly kill: () => Promise<void>
  /** Starts it again after that, with its data. */
  readonly start: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The folder of `postgres` and `initdb`, the newest version's; `undefined` where none is installed. */
export const binaries = ((): string | undefined => {
  const root = "/usr/lib/postgresql"
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  return versions.map((version) => join(root, version, "bin")).find((folder) => existsSync(join(folder, "initdb")))
})()

/** Why no server can be started, for the end of a group's name; empty where one can. */
export const noPostgres: string = binaries === undefined ? ": no Postgres server is installed" : ""

/** `port`: one of loopback to listen on as well. */
export const startPostgres = async ({ port }: { readonly port?: number } = {}): Promise<PostgresServer> => {
  const host = mkdtempSync(join(tmpdir(), "ingress-postgres-"))
  const data = join(host, "data")
  // The server refuses to run as root.
  const isRoot = process.getuid?.() === 0
  const idOf = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  const account = isRoot ? { uid: idOf("-u"), gid: idOf("-g") } : {}
  if (isRoot) chownSync(host, account.uid!, account.gid!)
  const run = { ...account, cwd: host, stdio: "ignore" } as const
  const made = spawn(join(binaries!, "initdb"), ["-D", data, "-U", "ingress", "-A", "trust", "--no-sync"], run)
  const [code] = (await once(made, "exit")) as [number]
  if (code !== 0) throw new Error(`initdb ended with ${code}`)
  const listens = port === undefined ? ["listen_addresses="] : ["listen_addresses=127.0.0.1", `port=${port}`]
  const settings = [...listens, `unix_socket_directories=${host}`, "fsync=off", "max_connections=200", "autovacuum=off"]
  let server: ChildProcess | undefined
  const start = async (): Promise<void> => {
    server = spawn(join(binaries!, "postgres"), ["-D", data, ...settings.flatMap((each) => ["-c", each])], run)
    await untilItConnects(host, port, server)
  }
  const kill = async (): Promise<void> => {
    if (server === undefined) return
    const ended = once(server, "exit")
    // SIGQUIT: at once, without a last write to disk.
    server.kill("SIGQUIT")
    server = undefined
    await ended
  }
  await start()
  return {
    host,
    ...(port === undefined ? {} : { port }),
    user: "ingress",
    kill,
    start,
    close: async () => {
      await kill()
      rmSync(host, { recursive: true, force: true })
    },
  }
}

const untilItConnects = async (host: string, port: number | undefined, server: ChildProcess): Promise<void> => {
  for (;;) {
    if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`)
    const client = new pg.Client({
      host,
      user: "ingress",
      database: "postgres",
      ...(port === undefined ? {} : { port }),
    })
    try {
      await client.connect()
      await client.end()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
