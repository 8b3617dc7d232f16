import { build } from "esbuild"
import type { BuildOptions } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"

/** What a Worker responds to one request, as JSON. `input`: its entry or its source, for esbuild. */
export const inWorkerd = async (
  input: Pick<BuildOptions, "entryPoints" | "stdin" | "conditions" | "external">,
): Promise<unknown> => {
  const bundle = await build({ ...input, bundle: true, format: "esm", write: false })
  const script = bundle.outputFiles[0]?.text ?? ""
  const options = { modules: true, script, compatibilityDate: "2026-11-01", cf: false } as const
  const workerd = new Miniflare(convertV4MiniflareOptions(options))
  try {
    return await (await workerd.dispatchFetch("http://worker/")).json()
  } finally {
    await workerd.dispose()
  }
}
