/**
 * A Docker Engine of the test's own, beside the one of the machine, that speaks TLS and asks for certificates. It lives in a
 * network namespace of its own: `--bridge=none` deletes `docker0`, which would be the other engine's. So it listens on a
 * socket that it is given, and no container of it can be reached.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync } from "node:fs"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

export interface OwnEngine {
  /** At 127.0.0.1. */
  readonly port: number
  /** Runs a `docker` command with a client's certificate. */
  readonly docker: (...args: string[]) => Promise<string>
  /** The full id of a new container, which cannot run: there is nothing in it. */
  readonly create: () => Promise<string>
  /** Ends it as a crash does. */
  readonly kill: () => Promise<void>
  /** Starts it at the same port, with the same containers. */
  readonly start: () => Promise<void>
  /** Ends it and removes all that it made. */
  readonly close: () => Promise<void>
}

/** The folder of one holder's `ca.pem`, `cert.pem` and `key.pem`, as `DOCKER_CERT_PATH` wants it. */
export const certificates = (holder: "server" | "client" | "stranger"): string =>
  fileURLToPath(new URL(`fixtures/docker/${holder}`, import.meta.url))

// A process that dies with this one, even when that is killed; then a network and mounts that nobody else sees.
const alone = ["--pdeathsig", "KILL", "unshare", "--net", "--mount"]

/** Why no engine can be started here, or `undefined`. */
export const ownEngineMissing = async (): Promise<string | undefined> => {
  try {
    await promisify(execFile)("setpriv", [...alone, "dockerd", "--version"])
    await promisify(execFile)("docker", ["--version"])
    return undefined
  } catch {
    return "nobody may start a dockerd here: it takes root, docker, dockerd, setpriv and unshare"
  }
}

export const startOwnEngine = async (): Promise<OwnEngine> => {
  const root = await mkdtemp(join(tmpdir(), "ingress-dockerd-"))
  const certificate = certificates("server")
  const options = [
    "--host=fd://",
    "--bridge=none",
    "--iptables=false",
    "--ip-forward=false",
    `--data-root=${join(root, "data")}`,
    `--exec-root=${join(root, "exec")}`,
    `--pidfile=${join(root, "pid")}`,
    "--tlsverify",
    `--tlscacert=${join(certificate, "ca.pem")}`,
    `--tlscert=${join(certificate, "cert.pem")}`,
    `--tlskey=${join(certificate, "key.pem")}`,
  ]
  let port = 0
  let ended: Promise<unknown> = Promise.resolve()
  let signal: (name: "SIGTERM" | "SIGKILL") => void = () => {}

  const docker = async (...args: string[]): Promise<string> => {
    const env = {
      ...process.env,
      DOCKER_HOST: `tcp://127.0.0.1:${port}`,
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: certificates("client"),
    }
    const command = promisify(execFile)("docker", args, { env })
    // What `import` reads: two empty blocks, an archive of nothing.
    command.child.stdin!.on("error", () => {}).end(Buffer.alloc(1_024))
    return (await command).stdout.trim()
  }

  const start = async (): Promise<void> => {
    // The id of a killed containerd, which counts as running for as long as nobody has waited for it.
    await rm(join(root, "exec"), { recursive: true, force: true })
    const socket = createServer().listen(port, "127.0.0.1")
    await once(socket, "listening")
    port = (socket.address() as AddressInfo).port
    // Node has no public name for a server's descriptor.
    const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle
    const log = openSync(join(root, "log"), "a")
    // As systemd passes a socket on: `sd_listen_fds(3)`.
    const command = ["-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec setpriv "$@"`, "sh", ...alone, "dockerd", ...options]
    const dockerd = spawn("sh", command, { stdio: ["ignore", log, log, fd] })
    ended = once(dockerd, "exit")
    signal = (name) => dockerd.kill(name)
    socket.close()
    closeSync(log)
    try {
      // Waits: somebody listens from the first moment.
      await docker("version")
    } catch (cause) {
      throw new Error((await readFile(join(root, "log"), "utf8")).slice(-2_000), { cause })
    }
  }

  const kill = async (): Promise<void> => {
    signal("SIGKILL")
    await ended
  }
  const close = async (): Promise<void> => {
    signal("SIGTERM")
    const late = setTimeout(() => signal("SIGKILL"), 10_000)
    await ended
    clearTimeout(late)
    await rm(root, { recursive: true, force: true })
  }

  try {
    await start()
    await docker("import", "-", "nothing")
  } catch (error) {
    await close()
    throw error
  }
  return { port, docker, create: () => docker("create", "nothing", "/nothing"), kill, start, close }
}
