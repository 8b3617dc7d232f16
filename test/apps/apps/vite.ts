import { join } from "node:path"
import { expect } from "vitest"
import { edited } from "../checks.ts"
import { get } from "../probes.ts"
import { startProcess } from "../process.ts"
import { npmCommand, npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

export const vite: RealApp = {
  name: "Vite",
  version: npmVersion("vite"),
  command: "vite --port $PORT",
  settings: {},
  fixture: "vite",
  start: (cwd) => startProcess({ cwd, command: (port) => [npmCommand("vite"), "--port", String(port)] }),
  probes: [{ ...get("/"), byDefault: "200", withPublicName: "403" }],
  checks: [
    {
      kinds: ["page", "WebSocket", "hot reload"],
      claim: "an edited component changes on a page that keeps its state",
      run: async ({ newPage, origin, folder }) => {
        const { page, console } = await newPage()
        await page.goto(origin)
        await page.click("button")
        await expect.poll(() => console).toContain("[vite] connected.")
        await edited(join(folder, "src/app.jsx"), "before", "after", async () => {
          await expect.poll(() => page.innerText("h1")).toBe("after")
          expect(await page.innerText("button")).toBe("clicked 1 times")
        })
      },
    },
  ],
}
