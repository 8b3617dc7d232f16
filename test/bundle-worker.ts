import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import type { BuildOptions, StdinOptions } from "esbuild"

/** A Worker's module: `new URL("worker.ts", import.meta.url)`, or its source. */
export type WorkerEntry = URL | StdinOptions

/** A Worker's module in one file, from sources, as wrangler bundles it. */
export const bundleWorker = async (entry: WorkerEntry, options: BuildOptions = {}): Promise<string> => {
  const { outputFiles } = await build({
    ...(entry instanceof URL ? { entryPoints: [fileURLToPath(entry)] } : { stdin: entry }),
    bundle: true,
    format: "esm",
    conditions: ["@project-ingress/source", "workerd"],
    external: ["node:*"],
    ...options,
    write: false,
  })
  return outputFiles[0]!.text
}
