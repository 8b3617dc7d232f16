import { join } from "node:path"
import { expect } from "vitest"
import { edited, isMarked, mark } from "../checks.ts"
import { get, webSocket } from "../probes.ts"
import { startProcess } from "../process.ts"
import { npmCommand, npmVersion } from "../real-app.ts"
import type { Check, RealApp } from "../real-app.ts"

const hotReload: readonly Check[] = [
  {
    kinds: ["page", "WebSocket", "hot reload"],
    claim: "an edited module changes on a page that stays",
    run: async ({ newPage, origin, folder }) => {
      const { page, console } = await newPage()
      await page.goto(origin)
      expect(await page.innerText("h1")).toBe("before")
      await mark(page)
      await expect.poll(() => console.join("\n")).toContain("[webpack-dev-server] connected")
      await edited(join(folder, "src/greeting.js"), "before", "after", async () => {
        await expect.poll(() => page.innerText("h1")).toBe("after")
        expect(await isMarked(page)).toBe(true)
      })
      expect(console.join("\n")).not.toContain("Invalid Host/Origin header")
    },
  },
  {
    kinds: ["page", "WebSocket", "hot reload"],
    claim: "an edited entry, which accepts no update, reloads the page",
    run: async ({ newPage, origin, folder }) => {
      const { page } = await newPage()
      await page.goto(origin)
      await mark(page)
      await edited(join(folder, "src/index.js"), '"h1"', '"h2"', async () => {
        await expect.poll(() => page.locator("h2").count()).toBe(1)
        expect(await isMarked(page)).toBe(false)
      })
    },
  },
]

export const webpack: RealApp = {
  name: "webpack-dev-server",
  version: npmVersion("webpack-dev-server"),
  command: "webpack serve",
  settings: {},
  fixture: "webpack",
  start: (cwd) =>
    startProcess({
      cwd,
      command: () => [npmCommand("webpack"), "serve"],
      // It takes the first free port from 8080 on; here from another one on.
      env: (port) => ({ WEBPACK_DEV_SERVER_BASE_PORT: String(port) }),
    }),
  probes: [
    { ...get("/"), byDefault: "200", withPublicName: "403" },
    { ...webSocket("/ws"), byDefault: "101", withPublicName: "Invalid Host/Origin header" },
  ],
  checks: [
    {
      kinds: ["page", "WebSocket"],
      claim: "its page is shown, and opens the WebSocket of its own origin",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        await page.goto(origin)
        expect(await page.innerText("h1")).toBe("before")
        const first = page.evaluate(`new Promise((resolve, reject) => {
          const socket = new WebSocket(location.origin.replace("https", "wss") + "/ws")
          socket.onmessage = ({ data }) => resolve(data)
          socket.onclose = reject
        })`)
        expect(await first).toContain("type")
      },
    },
  ],
}

/** Its client asks the app's own port of the public name, which nobody serves, unless it is to take the page's. */
export const webpackHot: RealApp = {
  ...webpack,
  name: "webpack-dev-server, `client.webSocketURL.port: 0`",
  command: "webpack serve --client-web-socket-url-port 0",
  start: (cwd) =>
    startProcess({
      cwd,
      command: (port) => [npmCommand("webpack"), "serve", "--port", String(port), "--client-web-socket-url-port", "0"],
    }),
  probes: [],
  checks: hotReload,
}
