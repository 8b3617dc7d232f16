import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The Worker as `pnpm dev` runs it. */
export interface WranglerDev {
  /** Where it listens. */
  readonly url: string
  readonly stop: () => Promise<void>
}

const example = fileURLToPath(new URL("..", import.meta.url))

/**
 * Runs `wrangler dev` with these arguments, by default the example's own `wrangler.jsonc`, on a free port, with an empty state of its
 * own. Resolves once it is ready.
 */
export const startWranglerDev = async (
  args: readonly string[],
  secrets: Readonly<Record<string, string>>,
): Promise<WranglerDev> => {
  const folder = await mkdtemp(join(tmpdir(), "wrangler-dev-"))
  await writeFile(
    join(folder, "secrets"),
    Object.entries(secrets)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(""),
  )
  const wrangler = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin", "wrangler.js")
  const own = ["--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0", "--persist-to", join(folder, "state")]
  const env = {
    ...process.env,
    // The sources of this repository's packages, which are not built here.
    WRANGLER_BUILD_CONDITIONS: "@project-ingress/source,workerd,worker,browser",
    CI: "1",
    NO_COLOR: "1",
    XDG_CONFIG_HOME: folder,
    // It asks nobody about anything: no update, no telemetry, no `request.cf` of Cloudflare's.
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    // Of several Workers only the first one reads the file; all of them have what is in the environment.
    CLOUDFLARE_INCLUDE_PROCESS_ENV: "true",
    ...secrets,
  }
  const running = spawn(process.execPath, [wrangler, ...args, ...own, "--env-file", join(folder, "secrets")], {
    cwd: example,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let said = ""
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer): void => {
      said += data.toString()
      const ready = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1]
      if (ready !== undefined) resolve(ready)
    }
    running.stdout.on("data", onData)
    running.stderr.on("data", onData)
    running.once("error", reject)
    running.once("exit", (code) => reject(new Error(`wrangler ended with ${code}:\n${said}`)))
  })
  return {
    url,
    stop: async () => {
      const ended = once(running, "exit")
      running.kill("SIGTERM")
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}
