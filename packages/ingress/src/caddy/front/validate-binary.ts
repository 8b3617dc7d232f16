import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { FrontRefused } from "../../resource/errors.ts"

/** Caddy's words go into `cause`; more of them help nobody. */
const MAX_TEXT = 64 * 1024

/**
 * Has `caddy validate` look at a document. It is given by standard input, because it may hold secrets, and with a storage of its own, because
 * the checker makes the internal authority's keys.
 *
 * @throws {FrontRefused} (rejects) with what Caddy says as the cause
 */
export const validateByBinary = async (binary: string, document: object, signal: AbortSignal): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "caddy-validate-"))
  try {
    const storage = { module: "file_system", root: folder }
    const { code, text } = await run(binary, JSON.stringify({ ...document, storage }), signal)
    if (code !== 0) {
      const cause = new Error(text)
      throw new FrontRefused({ front: "caddy", reason: "refused the configuration when validating it", cause })
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const run = (binary: string, input: string, signal: AbortSignal) =>
  new Promise<{ readonly code: number | null; readonly text: string }>((resolve, reject) => {
    const child = spawn(binary, ["validate", "--config", "-"], { signal, stdio: ["pipe", "ignore", "pipe"] })
    let text = ""
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(-MAX_TEXT)
    })
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, text }))
    // It may end before it has read everything.
    child.stdin.on("error", () => undefined)
    child.stdin.end(input)
  })
