import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { withoutSecrets } from "../../fronts/secrets.ts"
import type { GeneratedFile } from "../../fronts/front.ts"
import { FrontRefused } from "../../resource/errors.ts"

const run = promisify(execFile)

/** As long as the ingress managers that did this before gave it. */
const TIMEOUT_MS = 5_000

/**
 * Has Envoy check a configuration. Everything is in one static file: in this mode Envoy does not look at the files that it would watch.
 *
 * @throws {FrontRefused} (rejects) if it is refused; what Envoy printed is its `cause`, without `secrets`, for logs
 */
export const validateBy = async (
  binary: string,
  [file]: readonly GeneratedFile[],
  {
    front,
    secrets,
    signal,
  }: { readonly front: string; readonly secrets: readonly string[]; readonly signal: AbortSignal },
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "envoy-"))
  try {
    const path = join(folder, "envoy.json")
    await writeFile(path, file!.text, { mode: 0o600 })
    await run(binary, ["--mode", "validate", "--disable-hot-restart", "-c", path], { signal, timeout: TIMEOUT_MS })
  } catch (error) {
    signal.throwIfAborted()
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string }
    // Not Envoy's decision: it could not be run, or did not end.
    if (typeof code !== "number") throw error
    const cause = withoutSecrets(stderr ?? "", secrets).slice(-2_000)
    throw new FrontRefused({ front, reason: "does not accept the configuration", cause })
  } finally {
    await rm(folder, { recursive: true })
  }
}
