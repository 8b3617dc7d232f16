import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { expect } from "vitest"
import { post } from "../probes.ts"
import { startServer } from "../process.ts"
import { npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

/** The first message of a client. */
const initialize = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "a-client", version: "1.0.0" } },
})

export const mcp: RealApp = {
  name: "MCP server (TypeScript SDK, streamable HTTP)",
  version: npmVersion("@modelcontextprotocol/sdk"),
  command: "PORT=$PORT node server.js",
  settings: {},
  fixture: "mcp",
  start: startServer,
  probes: [{ ...post("/mcp", "application/json", initialize), byDefault: "200", withPublicName: "403" }],
  checks: [
    {
      kinds: ["streaming"],
      claim: "the SDK's own client opens a session, calls a tool and is notified meanwhile",
      run: async ({ host, origin }) => {
        const client = new Client({ name: "a-client", version: "1.0.0" })
        const heard: unknown[] = []
        client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(params.data))
        const transport = new StreamableHTTPClientTransport(new URL(`${origin}/mcp`), { fetch: host.fetch })
        await client.connect(transport)
        expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["add"])
        const result = await client.callTool({ name: "add", arguments: { a: 1, b: 1 } })
        expect(result.content).toEqual([{ type: "text", text: "2" }])
        expect(heard).toEqual(["adding"])
        await transport.terminateSession()
        await client.close()
      },
    },
  ],
}
