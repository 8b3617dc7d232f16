import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { expect } from "vitest"
import { followed } from "../probes.ts"
import { freePort } from "../../free-port.ts"
import { startProcess } from "../process.ts"
import { missingPrograms, systemProgram } from "../system.ts"
import type { RealApp } from "../real-app.ts"

export const nginx: RealApp = {
  name: "nginx",
  version: "1.22",
  versionCommand: ["nginx", "-v"],
  command: "nginx -p . -c nginx.conf",
  settings: {},
  fixture: "nginx",
  missing: missingPrograms("nginx"),
  start: async (cwd) => {
    const file = join(cwd, "nginx.conf")
    const port = await freePort()
    await writeFile(file, (await readFile(file, "utf8")).replace("$PORT", String(port)))
    return startProcess({ port, cwd, command: () => [systemProgram("nginx")!, "-p", cwd, "-c", file, "-e", "stderr"] })
  },
  probes: [{ ...followed("/dir"), byDefault: "https://…/dir/", withPublicName: "https://…/dir/" }],
  checks: [
    {
      kinds: ["page", "redirect"],
      claim: "a folder without its last slash leads to its public origin",
      run: async ({ host, newPage, origin }) => {
        const response = await host.fetch(`${origin}/dir`)
        expect([response.status, response.headers.get("location")]).toEqual([301, `${origin}/dir/`])
        const { page } = await newPage()
        await page.goto(`${origin}/dir`)
        expect([page.url(), await page.title()]).toEqual([`${origin}/dir/`, "A folder behind nginx"])
      },
    },
  ],
}
