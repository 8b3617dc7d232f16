import { accept, checkOptions } from "@project-ingress/router/internal"
import { filesFront } from "../files/files-front.ts"
import type { Front, GeneratedFile } from "../fronts/front.ts"
import { FrontRefused } from "../resource/errors.ts"
import { exportTraefik } from "../traefik/export-traefik.ts"
import type { TraefikOptions } from "../traefik/options.ts"
import { dockerCommand } from "./docker-command.ts"
import type { DockerCommand } from "./docker-command.ts"
import { rollOut, RollOutFailed } from "./roll-out.ts"
import { routersTaken } from "./running-traefik.ts"

export { dockerCommand } from "./docker-command.ts"
export type { CommandResult, DockerCommand } from "./docker-command.ts"
export { rollOut, RollOutFailed } from "./roll-out.ts"
export type { RolledOut, RollOutOptions } from "./roll-out.ts"

/** What `traefikFront` accepts. */
export interface TraefikFrontOptions {
  /** Where the files are: `traefik/` in it is what Traefik has as `/etc/traefik`, mounted as a folder. Made if it is not there. */
  readonly folder: string
  readonly options?: TraefikOptions
  /** Traefik's API, `http://127.0.0.1:8081`: asked what is running. Default: the files are read back alone. */
  readonly api?: string
  /** How long Traefik may take to read changed files, in ms, 100 to 60 000. Default 10 000. */
  readonly takenMs?: number
  /** Also over files that were changed by hand. Default false. */
  readonly overwrite?: boolean
  /**
   * With `options.compose`: has `docker` check the compose file, and replace Traefik when its static configuration changes. Default: the
   * `docker` on the PATH, if it has `compose`. `false`: none is called, and whoever runs Traefik starts it again.
   */
  readonly docker?: DockerCommand | false
}

/**
 * The front `traefik`. Dynamic files are seen by Traefik itself; a change of its static configuration or of its compose file replaces the
 * container that is running, once: by doubling with `compose.network: "host"`, else by `up`, which ends its connections. Nothing is started
 * that was not running.
 *
 * @throws {TypeError} for invalid options
 */
export const traefikFront = (options: TraefikFrontOptions): Front => {
  checkOptions(
    "traefikFront",
    options,
    {
      folder: accept.string,
      options: accept.object,
      api: (value) =>
        typeof value === "string" && /^https?:\/\//.test(value) && URL.canParse(value) ? undefined : "a URL of http",
      takenMs: (value) =>
        Number.isInteger(value) && (value as number) >= 100 && (value as number) <= 60_000
          ? undefined
          : "an integer from 100 to 60000",
      overwrite: accept.boolean,
      docker: (value) => (value === false ? undefined : accept.function(value) && "a function or false"),
    },
    { required: ["folder"] },
  )
  const { folder, options: exported = {}, api, takenMs, overwrite, docker = dockerCommand } = options
  // Checks the options once, now.
  exportTraefik({ ingresses: [], address: () => undefined }, exported)
  const hasCompose = exported.compose !== undefined && docker !== false
  const network = exported.compose?.network
  return filesFront({
    name: "traefik",
    folder,
    export: (input) => exportTraefik(input, exported),
    ...(overwrite === undefined ? {} : { overwrite }),
    ...(hasCompose
      ? {
          validate: (files, signal) => validCompose(files, { folder, docker, network, signal }),
          reload: replacing(folder, docker, network),
        }
      : {}),
    ...(api === undefined
      ? {}
      : {
          readBack: (signal, files) =>
            routersTaken(files, { url: api, ...(takenMs === undefined ? {} : { timeoutMs: takenMs }) }, signal),
        }),
  })
}

/** Asks compose about the file before it is in its place. Variables stay: they are the user's, and may be missing here. */
const validCompose = async (files: readonly GeneratedFile[], { folder, docker, signal }: Replacing): Promise<void> => {
  const compose = files.find(({ path }) => path === "docker-compose.yml")!
  if (!(await hasComposeCommand(docker, signal))) return
  // Compose wants a name, and finds none in `/`; the folder may not be there yet.
  const project = ["--project-name", "traefik", "--project-directory", folder]
  const args = ["compose", ...project, "--file", "-", "config", "--quiet", "--no-interpolate"]
  const { code, stderr } = await docker(args, { cwd: "/", input: compose.text, signal })
  if (code === 0) return
  throw new FrontRefused({
    front: "traefik",
    reason: "compose refuses docker-compose.yml",
    cause: new Error(stderr.slice(0, 10_000)),
  })
}

const hasComposeCommand = async (docker: DockerCommand, signal: AbortSignal): Promise<boolean> =>
  (await docker(["compose", "version"], { cwd: "/", signal })).code === 0

interface Replacing {
  readonly folder: string
  readonly docker: DockerCommand
  readonly network: "bridge" | "host" | undefined
  readonly signal: AbortSignal
}

/** Called after the files were written, and again after they were restored. */
const replacing = (folder: string, docker: DockerCommand, network: Replacing["network"]) => {
  let isOldRunning = false
  return async (changed: readonly string[], signal: AbortSignal): Promise<void> => {
    // After a roll-out that failed, what runs is what was restored.
    const isNeeded = !isOldRunning
    isOldRunning = false
    if (!isNeeded) return
    try {
      await replaceTraefik(changed, { folder, docker, network, signal })
    } catch (cause) {
      isOldRunning = cause instanceof RollOutFailed
      throw cause
    }
  }
}

const replaceTraefik = async (
  changed: readonly string[],
  { folder, docker, network, signal }: Replacing,
): Promise<void> => {
  // A changed static configuration changes a label in the compose file.
  if (!changed.includes("docker-compose.yml") || !(await hasComposeCommand(docker, signal))) return
  if (network === "host") {
    await rollOut("traefik", { folder, command: docker, signal })
    return
  }
  // Two containers cannot publish the same ports.
  const compose = ["compose", "--file", "docker-compose.yml"]
  const running = await docker([...compose, "ps", "--quiet", "traefik"], { cwd: folder, signal })
  if (running.code !== 0 || running.stdout.trim() === "") return
  const { code, stderr } = await docker([...compose, "up", "--detach", "--no-deps", "traefik"], { cwd: folder, signal })
  if (code !== 0) throw new Error(`docker compose up ended with ${code}`, { cause: new Error(stderr.slice(0, 10_000)) })
}
