/** 1-27: a response that goes on is not cut. The edge runs in this process, so that the test holds its clock. */
import { once } from "node:events"
import * as http from "node:http"
import pg from "pg"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { readEdgeConfig } from "../../src/commands/edge/edge-config.ts"
import { edgeLog } from "../../src/commands/edge/edge-log.ts"
import { openDatabase } from "../../src/commands/edge/open-database.ts"
import { serveEdge } from "../../src/commands/edge/serve-edge.ts"
import type { Edge } from "../../src/commands/edge/serve-edge.ts"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { startApp } from "./edge-process.ts"
import type { App } from "./edge-process.ts"
import { addApp, postgresTables, REGION } from "./edgeproxy-tables.ts"

describe.skipIf(noPostgres !== "")(`a response that goes on${noPostgres}`, () => {
  let server: PostgresServer
  let app: App
  let send: (text: string) => void
  let edge: Edge | undefined

  beforeAll(async () => {
    server = await startPostgres()
    app = await startApp((request, response) => {
      if (request.url === "/") {
        response.end()
        return
      }
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n")
      send = (text) => void response.write(text)
    })
    const client = new pg.Client({ host: server.host, user: server.user, database: "postgres" })
    await client.connect()
    await client.query(postgresTables)
    await client.query(addApp({ domain: "app.example.com", port: app.port }))
    await client.end()
  }, 60_000)
  afterEach(async () => {
    vi.useRealTimers()
    await edge?.stop()
  })
  afterAll(async () => {
    await app.close()
    await server.close()
  })

  it.each(["edgeproxy", "standard"])(
    "1-27: in mode %s events go on after two minutes of silence",
    async (mode) => {
      // What the engine measures time by; the driver's and the server's own timers are left alone.
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })
      const read = readEdgeConfig({
        EDGEPROXY_DATABASE_URL: `postgres:///postgres?host=${server.host}&user=${server.user}`,
        EDGEPROXY_REGION_ID: REGION,
        EDGEPROXY_HTTP_ADDR: "127.0.0.1:0",
        INGRESS_EDGE_MODE: mode,
        INGRESS_EDGE_ALLOW_CIDRS: "127.0.0.0/8",
        INGRESS_EDGE_DRAIN: "0s",
        ...(mode === "standard" ? { INGRESS_EDGE_ASK_ADDR: "127.0.0.1:0" } : {}),
      })
      if ("problems" in read) throw new Error(read.problems.join("\n"))
      const { config } = read
      edge = await serveEdge(
        config,
        await openDatabase(config.databaseUrl),
        edgeLog("error", () => undefined),
      )
      await edge.reload()
      const request = http.get({
        host: "127.0.0.1",
        port: edge.port,
        path: "/events",
        headers: { host: "app.example.com" },
        agent: false,
      })
      const [response] = (await once(request, "response")) as [http.IncomingMessage]
      let received = ""
      response.setEncoding("utf8").on("data", (text: string) => (received += text))
      await once(response, "data")
      vi.advanceTimersByTime(120_000)
      // Had anything been cut, not all of these would come: each begins when the one before it was here.
      for (const event of ["data: 2\n\n", "data: 3\n\n", "data: 4\n\n"]) {
        send(event)
        await vi.waitUntil(() => received.endsWith(event), { timeout: 10_000 })
      }
      expect(received).toBe("data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n")
      expect(response.complete).toBe(false)
      request.destroy()
    },
    30_000,
  )
})
