import { setTimeout as pause } from "node:timers/promises"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { planFiles } from "../../files/generated-files.ts"
import type { FilesPlan } from "../../files/generated-files.ts"
import { HandEdited } from "../../files/hand-edited.ts"
import type { ExportInput, Front, GeneratedFile } from "../../fronts/front.ts"
import { FrontRefused } from "../../resource/errors.ts"
import { exportEnvoy } from "../export-envoy.ts"
import { checkEnvoyOptions } from "../options.ts"
import type { EnvoyOptions } from "../options.ts"
import { runningVersions } from "./config-dump.ts"
import type { DumpOptions } from "./config-dump.ts"
import { stepsOf, versionsOf } from "./steps.ts"
import { validateBy } from "./validate-by.ts"

/** How an Envoy is driven. */
export interface EnvoyFrontOptions {
  /** Default `envoy`. */
  readonly name?: string
  /** Where the files are written. Made if it is not there. */
  readonly folder: string
  /** How they are written. `folder` there: the same folder as Envoy sees it, where that is another path. */
  readonly export?: EnvoyOptions
  /**
   * Envoy's admin API, `http://127.0.0.1:9901`: each step waits until Envoy runs what was written. Absent: the files are all that is
   * looked at. Only for watched files.
   */
  readonly admin?: string
  /** How long Envoy may take to run what was written, in ms, 100 to 300 000. Default 10 000. */
  readonly readBackMs?: number
  /** How long clusters stay that nothing leads to any more, in ms, 0 to 60 000, if there is no `admin` to ask. Default 500. */
  readonly settleMs?: number
  /** An envoy that checks the configuration before it is written, with `--mode validate`, for 5 s at most. Default: none does. */
  readonly binary?: string
  /** Starts Envoy, or starts it again: called when what it reads only at its start has changed. */
  readonly restart?: (signal: AbortSignal) => Promise<void>
  /** True: also over files that were changed by hand. Default false. */
  readonly overwrite?: boolean
}

/**
 * A front that is Envoy. Files are moved into place one after the other: clusters, routes, listeners, and at the end clusters again,
 * without those that nothing leads to any more.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 */
export const envoyFront = (options: EnvoyFrontOptions): Front => {
  checkOptions("envoyFront", options, CHECKS, { required: ["folder"] })
  const { name = "envoy", folder, overwrite = false, binary } = options
  const exported: EnvoyOptions = { folder, ...options.export }
  checkEnvoyOptions(exported)
  if (exported.mode === "static" && options.admin !== undefined) {
    throw new TypeError('envoyFront: admin must be absent with mode "static", which has no versions to ask for')
  }
  return {
    name,
    plan: async (input) => {
      const { files, problems } = exportEnvoy(input, exported)
      const secrets = secretsOf(input)
      const settings = { secrets, overwrite }
      const running = (kinds: readonly Kind[], of: readonly GeneratedFile[], signal: AbortSignal): Promise<void> =>
        untilRunning(options, kinds, of, { front: name, secrets, signal })
      const whole = await planned(name, folder, files, settings)
      const isRestarted = whole.written.some((path) => /^(?:bootstrap|envoy)\./.test(path))
      const applied: FilesPlan[] = []
      return {
        problems,
        diff: whole.diff,
        validate: (signal) =>
          binary === undefined
            ? Promise.resolve()
            : validateBy(binary, exportEnvoy(input, { ...exported, mode: "static", format: "json" }).files, {
                front: name,
                secrets,
                signal,
              }),
        apply: async (signal) => {
          const steps = await stepsOf(folder, files)
          for (const [at, step] of steps.entries()) {
            if (at > 0 && options.admin === undefined) await pause(options.settleMs ?? 500, undefined, { signal })
            const plan = await planned(name, folder, step, settings)
            applied.push(plan)
            await plan.apply(async (path) => {
              // Listeners refer to routes, and routes to clusters, which must be there before.
              if (path === "cds/cds.json" && !isRestarted) await running(["clusters"], step, signal)
            })
            if (isRestarted && at === 0) await options.restart?.(signal)
            if (at < steps.length - 1) await running(ALL, step, signal)
          }
        },
        readBack: async (signal) => {
          await applied.at(-1)?.readBack()
          await running(ALL, files, signal)
        },
        rollBack: async (signal) => {
          for (const plan of applied.splice(0).toReversed()) await plan.rollBack()
          if (isRestarted) await options.restart?.(signal)
        },
      }
    },
  }
}

const planned = async (front: string, ...of: Parameters<typeof planFiles>): Promise<FilesPlan> => {
  try {
    return await planFiles(...of)
  } catch (cause) {
    if (cause instanceof HandEdited) throw new FrontRefused({ front, reason: cause.message, cause })
    throw cause
  }
}

const CHECKS = {
  name: accept.string,
  folder: accept.string,
  export: accept.object,
  admin: (value: unknown) =>
    typeof value === "string" && /^https?:\/\/[^/?#@]+\/?$/.test(value) && URL.canParse(value)
      ? undefined
      : "an http(s) URL without a path",
  readBackMs: accept.integer(100, 300_000),
  settleMs: accept.integer(0, 60_000),
  binary: accept.string,
  restart: accept.function,
  overwrite: accept.boolean,
}

/** How long routes wait for new clusters to be ready, in ms: one name that cannot be looked up must not hold back all other rules. */
const WARM_MS = 5_000

type Kind = "clusters" | "listeners" | "routes"
const ALL: readonly Kind[] = ["clusters", "listeners", "routes"]

/** Waits until Envoy runs what is in the files; at once if there is no admin API to ask. */
const untilRunning = async (
  { admin, readBackMs = 10_000 }: EnvoyFrontOptions,
  kinds: readonly Kind[],
  files: readonly GeneratedFile[],
  dump: Omit<DumpOptions, "wanted">,
): Promise<void> => {
  if (admin === undefined) return
  const wanted = versionsOf(files)
  const ending = AbortSignal.any([dump.signal, AbortSignal.timeout(readBackMs)])
  const begin = performance.now()
  let cause: unknown
  for (let waitMs = 20; !ending.aborted; waitMs = Math.min(waitMs * 2, 1_000)) {
    try {
      const running = await runningVersions(admin, { ...dump, wanted: wanted.listeners!, signal: ending })
      const stale = kinds.filter((kind) =>
        kind === "routes"
          ? [...wanted.routes].some(([table, version]) => running.routes.get(table) !== version)
          : running[kind] !== wanted[kind],
      )
      const isWarm = running.warming === 0 || performance.now() - begin > WARM_MS
      if (stale.length === 0 && (isWarm || !kinds.includes("clusters"))) return
      cause = new Error(`Envoy does not run the ${stale.join(" and ")} that were written, or is not ready for them`)
    } catch (error) {
      if (error instanceof Error && "_tag" in error) throw error
      // What is said when the time is over is not that it is over.
      if (!ending.aborted) cause = error
    }
    await pause(waitMs, undefined, { signal: ending }).catch(() => undefined)
  }
  dump.signal.throwIfAborted()
  throw new Error(`Envoy did not take its configuration over within ${readBackMs} ms`, { cause })
}

const secretsOf = ({ ingresses }: ExportInput): readonly string[] =>
  ingresses.flatMap(({ rules }) => rules.flatMap(({ requireHeader }) => requireHeader?.value ?? []))
