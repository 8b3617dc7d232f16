import { createRequire } from "node:module"
import { realpathSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"
import { get } from "../probes.ts"
import { startProcess } from "../process.ts"
import { npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

/** The program in the package for this platform, which the package's own script would link. */
const program = (): string | undefined => {
  const manifest = realpathSync(fileURLToPath(new URL("../node_modules/opencode-ai/package.json", import.meta.url)))
  const { platform, arch } = process
  const suffix = platform === "win32" ? ".exe" : ""
  const name = `opencode-${platform === "win32" ? "windows" : platform}-${arch}/bin/opencode${suffix}`
  try {
    return createRequire(manifest).resolve(name)
  } catch {
    return undefined
  }
}

export const opencode: RealApp = {
  name: "opencode",
  version: npmVersion("opencode-ai"),
  command: "opencode serve --port $PORT",
  settings: {},
  missing: () => (program() === undefined ? `npm has no opencode for ${process.platform} ${process.arch}` : undefined),
  start: (cwd) =>
    startProcess({
      cwd,
      command: (port) => [program()!, "serve", "--port", String(port)],
      // It looks for both outside of this computer, and waits.
      env: () => ({ OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_AUTOUPDATE: "1" }),
    }),
  probes: [{ ...get("/"), byDefault: "200", withPublicName: "200" }],
  checks: [
    {
      kinds: ["page"],
      claim: "its page is shown",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        await page.goto(origin)
        expect(await page.title()).toBe("OpenCode")
        await page.getByText("Add project").waitFor()
      },
    },
    {
      kinds: ["streaming"],
      claim: "its event stream reports a session as soon as it is created",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        await page.goto(`${origin}/global/health`)
        const created = page.evaluate(`new Promise((resolve) => {
          const events = new EventSource("/event")
          events.onmessage = async ({ data }) => {
            const { type } = JSON.parse(data)
            if (type === "server.connected") {
              await fetch("/session", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })
            }
            if (type === "session.created") resolve(type)
          }
        })`)
        expect(await created).toBe("session.created")
      },
    },
    {
      kinds: ["WebSocket"],
      claim: "its terminal runs a command",
      run: async ({ newPage, origin }) => {
        const { page } = await newPage()
        await page.goto(`${origin}/global/health`)
        const output = page.evaluate(`new Promise(async (resolve, reject) => {
          const headers = { "content-type": "application/json" }
          const response = await fetch("/pty", { method: "POST", headers, body: '{"command":"/bin/sh"}' })
          const { id } = await response.json()
          const socket = new WebSocket(location.origin.replace("https", "wss") + "/pty/" + id + "/connect")
          let output = ""
          socket.onopen = () => socket.send("echo $((6 * 7))\\n")
          socket.onmessage = ({ data }) => {
            output += typeof data === "string" ? data : ""
            if (output.includes("42")) resolve(output)
          }
          socket.onclose = reject
        })`)
        expect(await output).toContain("42")
      },
    },
  ],
}
