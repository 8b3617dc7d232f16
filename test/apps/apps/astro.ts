import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { formIsPosted, formNeedsItsOrigin } from "../checks.ts"
import { post } from "../probes.ts"
import { environment, startProcess } from "../process.ts"
import { npmCommand, npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

export const astro: RealApp = {
  name: "Astro",
  version: npmVersion("astro"),
  command: "astro build && PORT=$PORT node dist/server/entry.mjs",
  settings: {},
  fixture: "astro",
  start: async (cwd) => {
    await promisify(execFile)(npmCommand("astro"), ["build"], {
      cwd,
      env: environment(cwd),
    })
    const entry = join(cwd, "dist/server/entry.mjs")
    return startProcess({ cwd, command: () => [process.execPath, entry], env: (port) => ({ PORT: String(port) }) })
  },
  probes: [
    { ...post("/", "application/x-www-form-urlencoded", "words=hello"), byDefault: "200", withPublicName: "403" },
  ],
  checks: [formIsPosted, formNeedsItsOrigin],
}
