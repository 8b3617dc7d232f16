import { fileURLToPath } from "node:url"
import { build } from "esbuild"

/** A Worker's module in one file, from sources, as wrangler bundles it. `entry`: `new URL("worker.ts", import.meta.url)`. */
export const bundleWorker = async (entry: URL): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    format: "esm",
    write: false,
    conditions: ["@project-ingress/source", "workerd"],
    external: ["node:*"],
  })
  return outputFiles[0]!.text
}
