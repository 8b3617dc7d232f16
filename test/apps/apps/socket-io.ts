import { expect } from "vitest"
import { webSocket } from "../probes.ts"
import { startServer } from "../process.ts"
import { npmVersion } from "../real-app.ts"
import type { Check, RealApp } from "../real-app.ts"

const echoes = (kinds: Check["kinds"], claim: string, options: string, transport: string): Check => ({
  kinds,
  claim,
  run: async ({ newPage, origin }) => {
    const { page } = await newPage()
    await page.goto(origin)
    await page.evaluate(`globalThis.socket = io(${options})`)
    const say = () => page.evaluate(`socket.emitWithAck("say", "hello ✓")`)
    await expect.poll(say).toBe(`${transport}: hello ✓`)
  },
})

export const socketIo: RealApp = {
  name: "socket.io",
  version: npmVersion("socket.io"),
  command: "PORT=$PORT node server.js",
  settings: {},
  fixture: "socket-io",
  start: startServer,
  probes: [{ ...webSocket("/socket.io/?EIO=4&transport=websocket"), byDefault: "101", withPublicName: "101" }],
  checks: [
    echoes(["page", "WebSocket"], "the client begins with polling and goes on with a WebSocket", "", "websocket"),
    echoes(["page", "WebSocket"], "a WebSocket alone", `{ transports: ["websocket"] }`, "websocket"),
    echoes(["page", "streaming"], "long polling alone", `{ transports: ["polling"] }`, "polling"),
  ],
}
