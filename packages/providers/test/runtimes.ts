/** Modules of this folder in other runtimes, from sources. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"

const condition = "@project-ingress/source"
const bin = (name: string): string => fileURLToPath(new URL(`../../../node_modules/.bin/${name}`, import.meta.url))
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

export type Command = readonly [string, ...string[]]
/** What runs a module. */
export const programs = {
  bun: [bin("bun"), `--conditions=${condition}`],
  deno: [bin("deno"), "run", "--allow-all", `--conditions=${condition}`],
} as const satisfies Record<string, Command>
/** What runs a module that registers tests, in the runtime's own runner. */
export const runners = {
  node: [process.execPath, `--conditions=${condition}`, "--test-reporter=tap"],
  bun: [bin("bun"), `--conditions=${condition}`, "test", "--timeout=30000"],
  deno: [bin("deno"), "test", "--allow-all", "--no-check", `--conditions=${condition}`],
} as const satisfies Record<string, Command>

/** Runs a module and gives what it printed. Rejects with that when it ended with another code than 0. */
export const run = async (
  [command, ...args]: Command,
  file: string,
  { args: more = [], env = {} }: { readonly args?: readonly string[]; readonly env?: Readonly<Record<string, string>> },
): Promise<{ readonly stdout: string; readonly stderr: string }> => {
  try {
    return await promisify(execFile)(command, [...args, here(file), ...more], {
      env: { ...process.env, ...env, NO_COLOR: "1", VITEST: undefined, NODE_OPTIONS: undefined },
      maxBuffer: 16 * 1_048_576,
    })
  } catch (cause) {
    const { stdout = "", stderr = "" } = cause as { readonly stdout?: string; readonly stderr?: string }
    if (stdout + stderr === "") throw cause
    // oxlint-disable-next-line preserve-caught-error -- it has all of that as well, and would print it once more
    throw new Error(`${file} failed\n${stdout}${stderr}`)
  }
}

export interface RunningWorker {
  readonly url: URL
  readonly dispose: () => Promise<void>
}

/** Bundles a module and runs it in workerd, which has no `node:` modules: who imports one when it is needed may be in it. */
export const startWorker = async (
  file: string,
  options: {
    readonly compatibilityFlags?: readonly string[]
    /** Classes that the module exports, by the name of their binding; with storage in SQLite or without. */
    readonly durableObjects?: Readonly<
      Record<string, string | { readonly className: string; readonly useSQLite: boolean }>
    >
    /** What the Worker finds in its environment, as JSON. */
    readonly bindings?: Readonly<Record<string, unknown>>
  } = {},
): Promise<RunningWorker> => {
  const { compatibilityFlags = [], durableObjects = {}, bindings = {} } = options
  const bundle = await build({
    entryPoints: [here(file)],
    bundle: true,
    format: "esm",
    write: false,
    conditions: [condition, "workerd"],
    external: ["node:*", "cloudflare:*"],
  })
  const script = bundle.outputFiles[0]!.text
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      modules: true,
      script,
      compatibilityDate: "2026-01-01",
      compatibilityFlags: [...compatibilityFlags],
      durableObjects: { ...durableObjects },
      bindings: bindings as never,
    }),
  )
  return { url: await worker.ready, dispose: () => worker.dispose() }
}
