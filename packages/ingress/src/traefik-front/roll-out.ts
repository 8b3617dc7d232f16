import { setTimeout as sleep } from "node:timers/promises"
import { dockerCommand } from "./docker-command.ts"
import type { CommandResult, DockerCommand } from "./docker-command.ts"

/** How `rollOut` replaces the containers of a service. */
export interface RollOutOptions {
  /** Where the compose file is. */
  readonly folder: string
  /** Default `docker-compose.yml`. */
  readonly file?: string
  /** Default: the `docker` on the PATH. */
  readonly command?: DockerCommand
  /** How long the new containers may take to be healthy, in ms. Default 60 000. */
  readonly healthyMs?: number
  /** How long to wait for new containers without a health check, in ms. Default 10 000. */
  readonly withoutHealthMs?: number
  /** How long the old ones may take to be unhealthy after they were asked to drain, in ms. Default 30 000. */
  readonly drainMs?: number
  /** How often health is asked for, in ms. Default 250. */
  readonly pollMs?: number
  readonly signal?: AbortSignal
}

/** What `rollOut` did. */
export interface RolledOut {
  /** Ids of containers. Both empty: the service was not running, and nothing was done. */
  readonly removed: readonly string[]
  readonly started: readonly string[]
}

/** The new containers of a service did not become healthy, or docker failed. The old ones serve, the new ones are gone. */
export class RollOutFailed extends Error {
  readonly _tag = "RollOutFailed"
  override readonly name = "RollOutFailed"
  readonly service: string
  /** `stderr`: what docker said, for logs. */
  readonly stderr: string
  constructor(fields: {
    readonly service: string
    readonly reason: string
    readonly stderr?: string
    readonly cause?: unknown
  }) {
    super(`${fields.service} was not replaced: ${fields.reason}`, { cause: fields.cause })
    this.service = fields.service
    this.stderr = fields.stderr ?? ""
  }
}

/**
 * Replaces the containers of a service that runs, without a gap: starts as many again, waits until they are healthy, has the old ones drain
 * (`/tmp/drain`, which their health check looks for) and removes them. For services that can run twice: without state, without published
 * ports.
 *
 * @throws {RollOutFailed} (rejects); the old containers go on
 */
export const rollOut = async (service: string, options: RollOutOptions): Promise<RolledOut> => {
  if (!/^[a-zA-Z\d][\w.-]*$/.test(service)) throw new TypeError("rollOut: service must be the name of a service")
  const settings = withDefaults(options)
  const run = runner(service, settings)
  const old = await idsOf(run, service)
  if (old.length === 0) return { removed: [], started: [] }
  let started: readonly string[] = []
  try {
    await run.compose(
      "up",
      "--detach",
      "--no-deps",
      "--no-recreate",
      "--scale",
      `${service}=${old.length * 2}`,
      service,
    )
    started = await newIds(run, service, old)
    if (started.length < old.length) throw new RollOutFailed({ service, reason: "docker started no new containers" })
    await healthy(run, service, started, settings)
  } catch (cause) {
    // Whatever was started meanwhile, also where `up` itself failed half-way or the signal is aborted.
    const late = await newIds(
      runner(service, { ...settings, signal: new AbortController().signal }),
      service,
      old,
    ).catch(() => started)
    const all = [...new Set([...started, ...late])]
    if (all.length > 0)
      await settings.command(["rm", "--force", ...all], { cwd: settings.folder, signal: new AbortController().signal })
    if (cause instanceof RollOutFailed) throw cause
    throw new RollOutFailed({ service, reason: "it was interrupted", cause })
  }
  await drain(run, old, settings)
  await run.docker("stop", ...old)
  await run.docker("rm", "--force", ...old)
  return { removed: old, started }
}

type Settings = Required<Omit<RollOutOptions, "signal">> & { readonly signal: AbortSignal }

const withDefaults = (options: RollOutOptions): Settings => ({
  file: "docker-compose.yml",
  command: dockerCommand,
  healthyMs: 60_000,
  withoutHealthMs: 10_000,
  drainMs: 30_000,
  pollMs: 250,
  ...options,
  signal: options.signal ?? new AbortController().signal,
})

interface Runner {
  readonly docker: (...args: readonly string[]) => Promise<string>
  readonly compose: (...args: readonly string[]) => Promise<string>
  readonly attempt: (...args: readonly string[]) => Promise<CommandResult>
}

const runner = (service: string, { command, folder, file, signal }: Settings): Runner => {
  const attempt = (...args: readonly string[]): Promise<CommandResult> => command(args, { cwd: folder, signal })
  const docker = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await attempt(...args)
    if (code !== 0) throw new RollOutFailed({ service, reason: `docker ${args[0]} ended with ${code}`, stderr })
    return stdout
  }
  return { attempt, docker, compose: (...args) => docker("compose", "--file", file, ...args) }
}

/** Of containers that run. */
const idsOf = async ({ compose }: Runner, service: string): Promise<readonly string[]> =>
  (await compose("ps", "--quiet", service)).split("\n").flatMap((line) => line.trim() || [])

const newIds = async (run: Runner, service: string, old: readonly string[]): Promise<readonly string[]> =>
  (await idsOf(run, service)).filter((id) => !old.includes(id))

/** `healthy`, `starting`, `unhealthy`; `none` without a health check; `gone` if it does not run. */
const healthOf = async ({ docker }: Runner, id: string): Promise<string> => {
  const format = "{{.State.Running}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}"
  const [isRunning, health = "none"] = (await docker("inspect", "--format", format, id)).trim().split(" ")
  return isRunning === "true" ? health : "gone"
}

const healthy = async (
  run: Runner,
  service: string,
  ids: readonly string[],
  { healthyMs, withoutHealthMs, pollMs, signal }: Settings,
): Promise<void> => {
  const started = performance.now()
  for (;;) {
    const all = await Promise.all(ids.map((id) => healthOf(run, id)))
    if (all.includes("gone")) throw new RollOutFailed({ service, reason: "a new container has ended" })
    const elapsed = performance.now() - started
    const isWaitedFor = all.every((health) => health === "healthy" || (health === "none" && elapsed >= withoutHealthMs))
    if (isWaitedFor) return
    if (!all.includes("none") && elapsed >= healthyMs) {
      throw new RollOutFailed({ service, reason: `the new containers were not healthy after ${healthyMs} ms` })
    }
    await sleep(pollMs, undefined, { signal })
  }
}

/** Waits until those in front have seen that the old ones are to go. Their requests end with `stop`, which waits for them. */
const drain = async (run: Runner, old: readonly string[], { drainMs, pollMs, signal }: Settings): Promise<void> => {
  const started = performance.now()
  const draining: string[] = []
  for (const id of old) {
    const health = await healthOf(run, id).catch(() => "gone")
    if (health !== "healthy") continue
    // An image without `touch` cannot drain: it is stopped at once, as one without a health check.
    const { code } = await run.attempt("exec", id, "touch", "/tmp/drain")
    if (code === 0) draining.push(id)
  }
  while (draining.length > 0 && performance.now() - started < drainMs) {
    const all = await Promise.all(draining.map((id) => healthOf(run, id).catch(() => "gone")))
    if (!all.includes("healthy")) return
    await sleep(pollMs, undefined, { signal })
  }
}
