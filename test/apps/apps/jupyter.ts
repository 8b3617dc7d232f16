import { expect } from "vitest"
import { get } from "../probes.ts"
import { startProcess } from "../process.ts"
import { missingPrograms, systemProgram } from "../system.ts"
import type { RealApp } from "../real-app.ts"

export const jupyter: RealApp = {
  name: "Jupyter Notebook",
  version: "6.4",
  versionCommand: ["jupyter-notebook", "--version"],
  command: "jupyter-notebook --no-browser --port $PORT",
  settings: {},
  fixture: "jupyter",
  missing: missingPrograms("jupyter-notebook"),
  start: (cwd) =>
    startProcess({
      cwd,
      command: (port) => {
        const asRoot = process.getuid?.() === 0 ? ["--allow-root"] : []
        return [systemProgram("jupyter-notebook")!, "--no-browser", "--port", String(port), ...asRoot]
      },
    }),
  probes: [{ ...get("/login"), byDefault: "200", withPublicName: "403" }],
  checks: [
    {
      kinds: ["page", "WebSocket"],
      claim: "a notebook opens by the link with its token, starts a kernel, and the kernel adds 1+1",
      run: async ({ newPage, origin, app }) => {
        const token = /token=([0-9a-f]+)/.exec(app.output())?.[1]
        const { page } = await newPage()
        const session = page.waitForResponse((response) => new URL(response.url()).pathname === "/api/sessions")
        await page.goto(`${origin}/notebooks/sum.ipynb?token=${token}`)
        expect((await session).status()).toBe(201)
        await page.locator(".kernel_idle_icon").waitFor()
        await page.locator(".code_cell").first().click()
        await page.keyboard.press("Control+Enter")
        await expect.poll(() => page.locator(".output_result pre").allInnerTexts()).toEqual(["2"])
      },
    },
  ],
}
