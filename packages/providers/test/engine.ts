/**
 * A real Docker Engine for tests, with an image made of the Node that runs them: no registry is asked. Other packages' tests
 * use it too. Every container bears a label, so that `removeMachines` finds all that this process made.
 */
import { execFile, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

export interface MachineSpec {
  readonly image: string
  /** Text by absolute path inside the container. */
  readonly files?: Readonly<Record<string, string>>
  /** For `node`: `["-e", "…"]`. Default: the image's own, `/app/server.mjs`. */
  readonly args?: readonly string[]
  /** `docker create` options: `["--publish", "127.0.0.1::8080"]`, which is the default. */
  readonly options?: readonly string[]
  /** False leaves it created. */
  readonly start?: boolean
}

export interface RunningMachine {
  /** The full id. */
  readonly id: string
  /** Runs a `docker` command on it: `docker("restart", "--time", "0")`. */
  readonly docker: (command: string, ...options: string[]) => Promise<string>
  readonly remove: () => Promise<void>
}

const LABEL = "project-ingress.test"
// A part of the image's name: change it with what goes into the image.
const RECIPE = "1"

const run = async (...args: string[]): Promise<string> => (await promisify(execFile)("docker", args)).stdout.trim()

/** Why there is no engine, or `undefined` when there is one. */
export const engineMissing = async (): Promise<string | undefined> => {
  try {
    await run("version", "--format", "{{.Server.Version}}")
    return undefined
  } catch {
    return "no Docker Engine answers"
  }
}

/** The name of an image that runs `node /app/server.mjs`. Made once for each version of Node, in about a second. */
export const importNodeImage = async (): Promise<string> => {
  const name = `project-ingress-test/node:${process.versions.node}-${RECIPE}`
  const found = await run("image", "inspect", "--format", "{{.Id}}", name).catch(() => "")
  if (found !== "") return name
  const root = await mkdtemp(join(tmpdir(), "ingress-image-"))
  try {
    const put = async (file: string, at: string): Promise<void> => {
      await mkdir(dirname(join(root, at)), { recursive: true })
      // `tar -h` follows the link, so that nothing is copied twice.
      await symlink(await realpath(file), join(root, at)).catch((error: { code?: string }) => {
        if (error.code !== "EEXIST") throw error
      })
    }
    await put(process.execPath, "/bin/node")
    const { stdout } = await promisify(execFile)("ldd", [process.execPath])
    const libraries = stdout.match(/\/[^\s:()]+/g) ?? []
    await Promise.all(libraries.map((library) => put(library, library)))
    // glibc loads these by name when it looks a host up.
    const libc = libraries.find((library) => library.includes("libc.so"))
    const folder = libc === undefined ? undefined : dirname(libc)
    for (const file of folder === undefined ? [] : await readdir(folder)) {
      if (/^lib(?:nss_dns|nss_files|resolv)\.so\.2$/.test(file)) await put(join(folder!, file), join(folder!, file))
    }
    await mkdir(join(root, "etc"))
    await mkdir(join(root, "tmp"))
    await mkdir(join(root, "app"))
    await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/node\n")
    await writeFile(join(root, "etc/nsswitch.conf"), "hosts: files dns\n")
    const tar = spawn("tar", ["-C", root, "-ch", "."], { stdio: ["ignore", "pipe", "inherit"] })
    const changes = ['ENTRYPOINT ["/bin/node"]', 'CMD ["/app/server.mjs"]', `LABEL ${LABEL}.image=1`]
    const options = changes.flatMap((change) => ["--change", change])
    const docker = spawn("docker", ["import", ...options, "-", name], { stdio: ["pipe", "ignore", "inherit"] })
    tar.stdout.pipe(docker.stdin)
    const [code] = (await once(docker, "exit")) as [number | null]
    if (code !== 0) throw new Error(`docker import ended with ${code}`)
    return name
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Creates a container, fills it with files and starts it. */
export const runMachine = async (spec: MachineSpec): Promise<RunningMachine> => {
  const { image, files = {}, args = [], options = ["--publish", "127.0.0.1::8080"], start = true } = spec
  const id = await run("create", "--label", `${LABEL}=${process.pid}`, ...options, image, ...args)
  const names = Object.keys(files)
  if (names.length > 0) {
    const root = await mkdtemp(join(tmpdir(), "ingress-files-"))
    for (const name of names) {
      await mkdir(dirname(join(root, name)), { recursive: true })
      await writeFile(join(root, name), files[name]!)
    }
    await run("cp", `${root}/.`, `${id}:/`)
    await rm(root, { recursive: true, force: true })
  }
  const docker = (command: string, ...options: string[]): Promise<string> => run(command, ...options, id)
  if (start) await docker("start")
  return { id, docker, remove: async () => void (await docker("rm", "--force", "--volumes")) }
}

/** The name of a new network of the engine, with addresses of its own. */
export const makeNetwork = async (): Promise<string> => {
  const name = `${LABEL}-${randomUUID()}`
  await run("network", "create", "--label", `${LABEL}=${process.pid}`, name)
  return name
}

/** Removes every container and every network that this process made. */
export const removeMachines = async (): Promise<void> => {
  const ours = ["--quiet", "--no-trunc", "--filter", `label=${LABEL}=${process.pid}`]
  const ids = await run("ps", "--all", ...ours)
  if (ids !== "") await run("rm", "--force", "--volumes", ...ids.split("\n"))
  const made = await run("network", "ls", ...ours)
  if (made !== "") await run("network", "rm", ...made.split("\n"))
}

/** Whether somebody can listen at `::1`. */
export const hasIPv6 = async (): Promise<boolean> => {
  const server = createServer().listen(0, "::1")
  try {
    await once(server, "listening")
    server.close()
    return true
  } catch {
    return false
  }
}
