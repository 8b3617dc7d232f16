/** Puts another machine in place of a project's, without a request that fails: blue-green, over any registry and any provider. */
import { MachineRecordInvalid, machineFetcher } from "@project-ingress/providers"
import type { MachineFetcher } from "@project-ingress/providers"
import { MachineNotReady } from "./replacement/machine-not-ready.ts"
import { pauseOrReject, whenAborted } from "./replacement/pause.ts"
import { Probes } from "./replacement/probes.ts"
import { checkReplacementOptions } from "./replacement/replacement-options.ts"
import type { ReplacementOptions } from "./replacement/replacement-options.ts"
import type { Project, RegisteredMachine, RouteRegistry } from "./stores/route-registry.ts"

export { MachineNotReady } from "./replacement/machine-not-ready.ts"
export type { Expectation, ProbeResult } from "./replacement/probe-machine.ts"
export type { ReplacementOptions, ReplacementProgress, Switched } from "./replacement/replacement-options.ts"

/** A project that leads to the wanted machine. */
export interface Replaced {
  readonly project: Project
  /** The id of the machine that nothing needs any more: stop it. Absent: there was none, or the project had the wanted one already. */
  readonly previous?: string
}

/**
 * Waits until a registered machine responds as expected, through its provider and its machine proxy as a visitor's request would;
 * attaches it in place of the project's machine; and waits until the old one is drained. The old one is never touched: stop it when
 * this resolves. While it is drained the new one is probed on, and the project is given back to the old one if it fails.
 *
 * Rejects with `MachineNotReady`, which says what the last probe found and which machine the project leads to; as `attach` does,
 * with `VersionConflict` where somebody else changed the project meanwhile, and then nothing was changed; with what `drain`
 * rejects with; and with the signal's reason. After a failure of the database the project has the old machine or the new one, as
 * `read` says. Throws a `TypeError` for an option that is unknown or invalid, and a `MachineRecordInvalid` where no provider runs
 * the machine.
 *
 * ```ts
 * const { previous } = await replaceMachine(registry, { project: "misha", machine: "mach_2", providers, signingKey, path: "/healthz" })
 * ```
 */
export const replaceMachine = async (
  registry: Pick<RouteRegistry, "read" | "readMachine" | "attach">,
  options: ReplacementOptions,
): Promise<Replaced> => {
  checkReplacementOptions(options)
  const { machine: wanted, ifVersion, drain = 30_000, signal = new AbortController().signal } = options
  signal.throwIfAborted()
  const before = await registry.read(options.project)
  const machine = await registry.readMachine(wanted)
  const { id } = machine
  if (before.machine === id) return { project: before }
  const probes = new Probes(fetcherOf(machine, before, options), options)
  const notReady = (state: MachineNotReady["state"], cause?: unknown) =>
    new MachineNotReady({ machine: id, state, last: probes.last, attempts: probes.attempts, cause })

  if (!(await probes.untilReady(signal))) throw notReady("kept")
  signal.throwIfAborted()
  const project = await registry.attach(before.id, id, { ifVersion: ifVersion ?? before.version })
  probes.report("switched")
  const { machine: previous } = before
  if (previous === undefined) return { project }

  const ending = new AbortController()
  const ended = AbortSignal.any([signal, ending.signal])
  try {
    const drained =
      typeof drain === "number"
        ? pauseOrReject(drain, ended)
        : drain({ project: project.id, machine: id, previous }, ended)
    const outcome = await Promise.race([
      Promise.resolve(drained).then(() => "drained" as const),
      probes.untilFailing(ended).then(() => "failing" as const),
      // A `drain` of the caller's may obey no signal.
      whenAborted(ended),
    ])
    if (outcome === "drained") return { project, previous }
  } finally {
    ending.abort(new Error("the replacement is over"))
  }
  try {
    await registry.attach(project.id, previous, { ifVersion: project.version })
  } catch (cause) {
    throw notReady("not-rolled-back", cause)
  }
  probes.report("rolled-back")
  throw notReady("rolled-back")
}

/** @throws {MachineRecordInvalid} where no provider runs such machines */
const fetcherOf = (machine: RegisteredMachine, project: Project, options: ReplacementOptions): MachineFetcher => {
  const { providers, signingKey, headerNames, unprovenMachines, probeTimeoutMs } = options
  const { id, type, externalId, metadata } = machine
  const provider = providers.find((each) => each.type === type)
  if (provider === undefined) {
    const accepted = `one of ${providers.map((each) => each.type).join(", ")}`
    throw new MachineRecordInvalid({ provider: type, machine: externalId, field: "type", accepted })
  }
  return machineFetcher(
    provider,
    { id, type, externalId, metadata },
    {
      port: options.port ?? project.port ?? 3000,
      signingKey,
      headerNames,
      unprovenMachines,
      headersTimeoutMs: probeTimeoutMs,
    },
  )
}
