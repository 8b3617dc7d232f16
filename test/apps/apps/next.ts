import { join } from "node:path"
import { expect } from "vitest"
import { edited, formIsPosted } from "../checks.ts"
import { get, webSocket } from "../probes.ts"
import { startProcess } from "../process.ts"
import { npmCommand, npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

export const next: RealApp = {
  name: "Next.js",
  version: npmVersion("next"),
  command: "next dev --port $PORT",
  settings: {},
  fixture: "next",
  start: (cwd) => startProcess({ cwd, command: (port) => [npmCommand("next"), "dev", "--port", String(port)] }),
  probes: [
    { ...get("/"), byDefault: "200", withPublicName: "200" },
    { ...webSocket("/_next/hmr?id=probe"), byDefault: "101", withPublicName: "502" },
  ],
  checks: [
    {
      kinds: ["page", "WebSocket", "hot reload"],
      claim: "an edited component changes on a page that keeps its state",
      run: async ({ newPage, origin, folder }) => {
        const { page } = await newPage()
        await page.goto(origin)
        await expect
          .poll(async () => {
            await page.click("#count")
            return page.innerText("#count")
          })
          .not.toBe("clicked 0 times")
        const count = await page.innerText("#count")
        await edited(join(folder, "app/counter.jsx"), "before", "after", async () => {
          await expect.poll(() => page.innerText("h1")).toBe("after")
          expect(await page.innerText("#count")).toBe(count)
        })
      },
    },
    { ...formIsPosted, kinds: ["page", "form"], claim: "a Server Action gets what is submitted, and redirects" },
    {
      kinds: ["page"],
      claim: "the image optimizer makes the picture",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        const optimized = page.waitForResponse((response) => response.url().includes("/_next/image"))
        await page.goto(origin)
        expect((await optimized).headers()["content-type"]).toBe("image/webp")
        await expect.poll(() => page.evaluate(`document.querySelector("img").naturalWidth`)).toBe(64)
      },
    },
  ],
}
