/** A Redis server of our own, reached by its socket in a temporary folder: nothing of the machine's is touched. */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface RedisServer {
  /** The path of its socket. */
  readonly path: string
  readonly close: () => Promise<void>
}

const isInstalled = ((): boolean => {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

/** Why no server can be started, for the end of a group's name; empty where one can. */
export const noRedis: string = isInstalled ? "" : ": no Redis server is installed"

/** `port`: one of loopback to listen on as well. */
export const startRedis = async ({ port = 0 }: { readonly port?: number } = {}): Promise<RedisServer> => {
  const folder = mkdtempSync(join(tmpdir(), "ingress-redis-"))
  const path = join(folder, "socket")
  const settings = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--unixsocket",
    path,
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    folder,
  ]
  const server = spawn("redis-server", settings, { stdio: "ignore" })
  for (;;) {
    if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode}`)
    const socket = connect(path)
    const connected = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (connected) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    path,
    close: async () => {
      const ended = once(server, "exit")
      server.kill("SIGKILL")
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
