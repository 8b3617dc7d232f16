/** `project-ingress-edge` in EdgeProxy's mode, as a process on a real Postgres: what EdgeProxy documents, and the cases of it by id. */
import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { networkInterfaces } from "node:os"
import pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { canonicalAddress } from "@project-ingress/forward/internal"
import { noPostgres, startPostgres } from "../registry/postgres-server.ts"
import type { PostgresServer } from "../registry/postgres-server.ts"
import { createDatabase } from "./edge-database.ts"
import { ask, startApp, startEdge } from "./edge-process.ts"
import type { App, EdgeProcess } from "./edge-process.ts"
import { addApp, OTHER_REGION, postgresTables } from "./edgeproxy-tables.ts"

let server: PostgresServer
let databases = 0
const running: EdgeProcess[] = []
const apps: App[] = []

/** An app that is closed after the test. */
const app = async (...given: Parameters<typeof startApp>): Promise<App> => {
  const started = await startApp(...given)
  apps.push(started)
  return started
}
const hello: http.RequestListener = (request, response) =>
  response.end(request.url === "/" ? "home" : JSON.stringify(request.headers))
describe.skipIf(noPostgres !== "")(`the edge in EdgeProxy's mode${noPostgres}`, () => {
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(() => server.close())

  /** An empty database with the tables, and its URL. */
  const createTables = async () => {
    const created = await createDatabase(server, `edge${++databases}`)
    await created.pool.query(postgresTables)
    return created
  }
  afterEach(async () => {
    for (const { child, exited } of running.splice(0)) {
      child.kill("SIGKILL")
      await exited
    }
    for (const each of apps.splice(0)) await each.close()
  })

  describe("a request", () => {
    // One process for all: each test has a domain of its own.
    let pool: pg.Pool
    let edge: EdgeProcess
    let port: number
    let routes = 0
    beforeAll(async () => {
      const created = await createTables()
      pool = created.pool
      edge = startEdge({ EDGEPROXY_DATABASE_URL: created.url, EDGEPROXY_UPDATE_INTERVAL: "50ms" })
      port = await edge.port()
      await edge.logged("routes updated", { routes: 0 })
    }, 60_000)
    afterAll(async () => {
      edge.child.kill("SIGKILL")
      await edge.exited
      await pool.end()
    })
    /** A domain that the edge leads to an app. */
    const routed = async (given: Omit<Parameters<typeof addApp>[0], "domain">): Promise<string> => {
      const domain = `app${++routes}.example.com`
      await pool.query(addApp({ domain, ...given }))
      await edge.logged("routes updated", { routes })
      return domain
    }

    it("1-01: for an unknown host is 404 Service Not Found, in plain text with a newline", async () => {
      const response = await ask(port, "nobody.example.com")
      expect(response).toMatchObject({ status: 404, body: "Service Not Found\n" })
      expect(response.headers["content-type"]).toBe("text/plain; charset=utf-8")
      expect(await edge.logged("no route found", { host: "nobody.example.com" })).toMatchObject({ level: "warn" })
    })

    it.each(["127.0.0.1", "[::1]:8080", "localhost", "a..b", "edge.invalid", "x.edge.invalid"])(
      "1-01: for %s, which no row can name, is the same",
      async (host) => {
        expect(await ask(port, host, { path: "/x" })).toMatchObject({ status: 404, body: "Service Not Found\n" })
      },
    )

    it.each([
      ["1-02: its own name", (domain: string) => domain],
      ["1-07: a port", (domain: string) => `${domain}:8080`],
      ["1-08: capital letters", (domain: string) => domain.toUpperCase()],
      ["a root dot", (domain: string) => `${domain}.`],
    ])("with %s is sent to the app after a health check, with its host", async (_, written) => {
      const target = await app(hello)
      const domain = await routed({ port: target.port })
      const host = written(domain)
      const { status, body } = await ask(port, host, { path: "/x?y=1", headers: { "x-real-ip": "192.0.2.66" } })
      expect(status).toBe(200)
      expect(target.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(["GET /", "GET /x?y=1"])
      const received = JSON.parse(body) as Record<string, string>
      const canonical = host.toLowerCase().replace(/\.$/, "")
      expect(received).toMatchObject({ host: canonical, "x-forwarded-proto": "http" })
      // Theirs is `ip:port, ip`.
      expect(canonicalAddress(received["x-forwarded-for"]!)).toBe("127.0.0.1")
      expect(JSON.stringify(received)).not.toContain("192.0.2.66")
      expect(await edge.logged("request routed", { host: canonical })).toMatchObject({ level: "debug", status: 200 })
      expect(await edge.logged("health check passed", { domain })).toMatchObject({ level: "debug", status: 200 })
    })

    it.each<[string, http.RequestListener, string]>([
      ["404", (_, response) => response.writeHead(404).end(), "status 404"],
      ["500", (_, response) => response.writeHead(500).end(), "status 500"],
      ["401, as of an app with a login", (_, response) => response.writeHead(401).end(), "status 401"],
      ["nothing for 2 s", () => {}, "no response within 2000 ms"],
      [
        "a broken connection",
        (request) => request.socket.destroy(),
        "the request has no response: reset (UND_ERR_SOCKET)",
      ],
    ])("1-03, situation 39: whose health check gives %s is 503, and is not sent", async (_, handler, reason) => {
      const target = await app(handler)
      const domain = await routed({ port: target.port })
      const response = await ask(port, domain, { path: "/x" })
      expect(response).toMatchObject({ status: 503, body: "Service Unavailable - VM not responding\n" })
      expect(target.requests.map(({ url }) => url)).toEqual(["/"])
      const failed = await edge.logged("health check failed", { domain })
      expect(failed).toMatchObject({ level: "warn", domain, reason })
    })

    it.each([301, 302, 308])(
      "whose health check gives %d is sent, and the redirect is not followed",
      async (status) => {
        const elsewhere = await app(hello)
        const target = await app((request, response) =>
          request.url === "/"
            ? response.writeHead(status, { location: `http://127.0.0.1:${elsewhere.port}/` }).end()
            : response.end("x"),
        )
        const domain = await routed({ port: target.port })
        expect(await ask(port, domain, { path: "/x" })).toMatchObject({ status: 200, body: "x" })
        expect(elsewhere.requests).toEqual([])
      },
    )

    it("1-03: for a machine that does not listen is 503", async () => {
      const target = await startApp(hello)
      await target.close()
      const domain = await routed({ port: target.port })
      expect(await ask(port, domain)).toMatchObject({ status: 503 })
    })

    it("1-05: for another region goes to its public address on port 80, with its host and without a health check", async (ctx) => {
      const balancer = await app(hello, "127.0.0.2", 80).catch(() => undefined)
      ctx.skip(balancer === undefined, "port 80 of 127.0.0.2 cannot be opened")
      const domain = await routed({ ip: "10.1.2.3", region: OTHER_REGION })
      const { status, body } = await ask(port, domain, { path: "/x" })
      expect([status, (JSON.parse(body) as { host: string }).host]).toEqual([200, domain])
      expect(balancer!.requests.map(({ url }) => url)).toEqual(["/x"])
    })

    it("1-06: whose machine dies between health check and request is 502 Bad Gateway", async () => {
      const target = await app((request, response) => {
        if (request.url !== "/") return request.socket.destroy()
        return response.end("well")
      })
      const domain = await routed({ port: target.port })
      expect(await ask(port, domain, { path: "/x" })).toMatchObject({ status: 502, body: "Bad Gateway\n" })
      expect(await edge.logged("proxy error", { host: domain })).toMatchObject({ level: "error", host: domain })
    })

    it("to an app that responds with no HTTP is 502, and one after it is served", async () => {
      let isBroken = false
      const target = await app((request, response) => {
        if (request.url === "/x" && isBroken) return request.socket.end("no http\r\n\r\n")
        return response.end("well")
      })
      const domain = await routed({ port: target.port })
      isBroken = true
      expect(await ask(port, domain, { path: "/x" })).toMatchObject({ status: 502, body: "Bad Gateway\n" })
      isBroken = false
      expect(await ask(port, domain, { path: "/x" })).toMatchObject({ status: 200 })
    })

    it("whose own 404, 500 and 503 the app gives is the app's", async () => {
      const target = await app((request, response) => {
        response.writeHead(request.url === "/" ? 200 : Number(request.url!.slice(1))).end("the app's own")
      })
      const domain = await routed({ port: target.port })
      for (const status of [404, 500, 503])
        expect(await ask(port, domain, { path: `/${status}` })).toMatchObject({
          status,
          body: "the app's own",
        })
    })

    it("for a name below a domain is 404: the table has whole names", async () => {
      const target = await app(hello)
      const domain = await routed({ port: target.port })
      for (const host of [`22.${domain}`, `www.${domain}`, `3000__${domain}`, `mach_1.${domain}`])
        expect(await ask(port, host)).toMatchObject({ status: 404, body: "Service Not Found\n" })
      expect(target.requests).toEqual([])
    })

    it("that is smuggled behind another one reaches no app", async () => {
      const target = await app(hello)
      const domain = await routed({ port: target.port })
      const socket = net.connect(port, "127.0.0.1")
      socket.end(
        `POST /x HTTP/1.1\r\nHost: ${domain}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: ${domain}\r\n\r\n`,
      )
      expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1\.1 400 /)
      expect(target.requests).toEqual([])
    })

    it("that is a WebSocket handshake is passed on", async () => {
      const target = await app(hello)
      target.server.on("upgrade", (_, socket) => {
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        socket.pipe(socket)
      })
      const domain = await routed({ port: target.port })
      const request = http.request({
        port,
        host: "127.0.0.1",
        headers: {
          host: domain,
          connection: "Upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
      })
      request.end()
      const [response, socket] = (await once(request, "upgrade")) as [http.IncomingMessage, net.Socket]
      expect(response.statusCode).toBe(101)
      socket.write("echo")
      expect(String((await once(socket, "data"))[0])).toBe("echo")
      socket.destroy()
    })
  })

  describe("with tables of its own:", () => {
    let pool: pg.Pool
    let databaseUrl: string
    beforeEach(async () => {
      ;({ pool, url: databaseUrl } = await createTables())
    })
    afterEach(() => pool.end())
    const edge = (environment: Record<string, string> = {}): EdgeProcess => {
      const started = startEdge({
        EDGEPROXY_DATABASE_URL: databaseUrl,
        EDGEPROXY_UPDATE_INTERVAL: "50ms",
        ...environment,
      })
      running.push(started)
      return started
    }
    /** An edge that has its routes, and where it listens. */
    const loaded = async (environment: Record<string, string> = {}): Promise<{ edge: EdgeProcess; port: number }> => {
      const started = edge(environment)
      const port = await started.port()
      await started.logged("routes updated")
      return { edge: started, port }
    }

    describe("machines", () => {
      it("may have a private address, and neither loopback nor link-local, unless a range allows it", async (ctx) => {
        const isPrivate = (text: string) =>
          /^(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\./.test(text) || /^f[cd]/.test(text)
        const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
        const addresses = own.map(({ address }) => address).filter(isPrivate)
        ctx.skip(addresses.length === 0, "this machine has no private address")
        for (const [at, ip] of addresses.entries()) {
          const target = await app(hello, ip)
          await pool.query(addApp({ domain: `app${at}.example.com`, ip, port: target.port }))
        }
        const loopback = await app(hello)
        await pool.query(addApp({ domain: "loopback.example.com", port: loopback.port }))
        await pool.query(addApp({ domain: "metadata.example.com", ip: "169.254.169.254", port: 80 }))
        const { edge, port } = await loaded({ INGRESS_EDGE_ALLOW_CIDRS: "" })
        for (const at of addresses.keys())
          expect(await ask(port, `app${at}.example.com`, { path: "/x" })).toMatchObject({ status: 200 })
        for (const host of ["loopback.example.com", "metadata.example.com"]) {
          expect(await ask(port, host)).toMatchObject({ status: 503 })
          expect(await edge.logged("health check failed", { domain: host })).toMatchObject({
            reason: expect.stringContaining("ADDRESS_NOT_ALLOWED"),
          })
        }
        expect(loopback.requests).toEqual([])
      })
    })

    describe("the table", () => {
      it("1-12: has a new row seen within the interval, and a removed one gone", async () => {
        const target = await app(hello)
        await pool.query(addApp({ domain: "app.example.com", port: target.port }))
        await pool.query(addApp({ domain: "other.example.com", port: target.port }))
        const { port } = await loaded()
        await pool.query(addApp({ domain: "new.example.com", port: target.port }))
        await expect.poll(async () => (await ask(port, "new.example.com")).status, { timeout: 30_000 }).toBe(200)
        await pool.query("delete from domains where name = 'app.example.com'")
        await expect.poll(async () => (await ask(port, "app.example.com")).status, { timeout: 30_000 }).toBe(404)
      })

      it("1-21: routes no domain that is not verified, not ready or not running", async () => {
        const target = await app(hello)
        const { port: to } = target
        await pool.query(addApp({ domain: "app.example.com", port: to }))
        await pool.query(addApp({ domain: "unverified.example.com", port: to, verified: false }))
        await pool.query(addApp({ domain: "building.example.com", port: to, deployment: "building" }))
        await pool.query(addApp({ domain: "stopped.example.com", port: to, vm: "stopped" }))
        const { port } = await loaded()
        for (const name of ["unverified", "building", "stopped"])
          expect(await ask(port, `${name}.example.com`)).toMatchObject({ status: 404 })
      })

      it("that is empty at the start makes every host 404", async () => {
        const { edge, port } = await loaded()
        expect(await ask(port, "app.example.com")).toMatchObject({ status: 404 })
        expect(edge.log().filter(({ level }) => level === "error")).toEqual([])
      })

      it("with bad rows serves the others; a bad one is 500 and named by its column", async () => {
        const target = await app(hello)
        await pool.query(addApp({ domain: "app.example.com", port: target.port }))
        await pool.query(addApp({ domain: "port.example.com", port: 70_000 }))
        await pool.query(addApp({ domain: "net.example.com", ip: "10.0.0.0/8" }))
        await pool.query(addApp({ domain: "null.example.com" }))
        await pool.query("update vms set private_ip = null where id = 'vm null.example.com'")
        await pool.query(addApp({ domain: `${"a".repeat(60_000)}.example.com` }))
        const { edge, port } = await loaded()
        expect(await ask(port, "app.example.com")).toMatchObject({ status: 200 })
        for (const host of ["port.example.com", "net.example.com", "null.example.com"])
          expect(await ask(port, host)).toMatchObject({ status: 500, body: "Internal Server Error\n" })
        const line = await edge.logged("invalid rows", { count: 4 })
        expect(line.level).toBe("warn")
        expect(line["rows"]).toContain("d:port.example.com: vm_port must be a port from 1 to 65535")
        expect(line["rows"]).toContain("d:net.example.com: vm_private_ip must be an IP address")
        expect(line["rows"]).toContain("a row: domain_name must be")
      })

      it("that loses most of its rows at once is held, until SIGHUP", async () => {
        const target = await app(hello)
        for (let i = 0; i < 20; i++) await pool.query(addApp({ domain: `app${i}.example.com`, port: target.port }))
        const { edge, port } = await loaded()
        await pool.query("delete from domains where name <> 'app0.example.com'")
        expect(await edge.logged("routes refused, the previous ones stay")).toMatchObject({
          level: "error",
          reason: "1 routes, of 20 before",
        })
        expect(await ask(port, "app19.example.com")).toMatchObject({ status: 200 })
        edge.child.kill("SIGHUP")
        await expect.poll(async () => (await ask(port, "app19.example.com")).status, { timeout: 30_000 }).toBe(404)
        expect(await ask(port, "app0.example.com")).toMatchObject({ status: 200 })
      })
    })

    describe("the database", () => {
      it("1-11: that is down at the start leaves it running: 503 with Retry-After, never 404, and not ready", async () => {
        const target = await app(hello)
        await pool.query(addApp({ domain: "app.example.com", port: target.port }))
        await pool.query("alter table domains rename to elsewhere")
        const started = edge()
        const port = await started.port()
        expect(await started.logged("failed to read routes")).toMatchObject({ level: "error", reason: "42P01" })
        const response = await ask(port, "app.example.com")
        expect(response).toMatchObject({ status: 503, body: "Service Unavailable\n" })
        expect(Number(response.headers["retry-after"])).toBeGreaterThan(0)
        const health = () => ask(port, "127.0.0.1", { path: "/__ingress/health" })
        expect(await health()).toMatchObject({ status: 503, body: '{"status":"starting"}\n' })
        await pool.query("alter table elsewhere rename to domains")
        expect(await started.logged("routes updated")).toMatchObject({ level: "info", routes: 1 })
        expect(await ask(port, "app.example.com")).toMatchObject({ status: 200 })
        expect(await health()).toMatchObject({ status: 200 })
      })

      it("1-10: that is killed after the load leaves the last good routes; its URL is in no line", async () => {
        const own = await startPostgres()
        const client = new pg.Pool({ host: own.host, user: own.user, database: "postgres" })
        client.on("error", () => undefined)
        const target = await app(hello)
        await client.query(postgresTables)
        await client.query(addApp({ domain: "app.example.com", port: target.port }))
        const { edge, port } = await loaded({
          EDGEPROXY_DATABASE_URL: `postgres:///postgres?host=${own.host}&user=${own.user}&password=hunter2`,
        })
        await client.end()
        await own.close()
        expect(await edge.logged("failed to read routes")).toMatchObject({ level: "error", routes: 1 })
        expect(await ask(port, "app.example.com")).toMatchObject({ status: 200 })
        expect(await ask(port, "nobody.example.com")).toMatchObject({ status: 404 })
        expect(edge.out() + edge.err()).not.toContain("hunter2")
      })
    })

    describe("the start", () => {
      it("1-14: fails for a bad environment with exit code 1, and names every variable", async () => {
        const started = edge({
          EDGEPROXY_REGION_ID: "eu-1",
          EDGEPROXY_UPDATE_INTERVAL: "10",
          EDGEPROXY_DATABASE_URL: "",
        })
        expect(await started.exited).toBe(1)
        expect(started.err()).toContain('EDGEPROXY_REGION_ID: invalid region id: "eu-1"')
        expect(started.err()).toMatch(/EDGEPROXY_UPDATE_INTERVAL: "10" is not accepted; expected .*10s, 1m30s or 500ms/)
        expect(started.err()).toContain("EDGEPROXY_DATABASE_URL: is not set")
        expect(started.log().map(({ level }) => level)).toEqual(["error", "error", "error"])
      })

      it("fails with exit code 1 for a port that is in use", async () => {
        const taken = await app(hello)
        const started = edge({ EDGEPROXY_HTTP_ADDR: `127.0.0.1:${taken.port}` })
        expect(await started.exited).toBe(1)
        expect(started.err()).toContain("EADDRINUSE")
      })

      it("listens on an IPv6 address", async () => {
        const { port } = await loaded({ EDGEPROXY_HTTP_ADDR: "[::1]:0" })
        expect(await ask(port, "nobody.example.com", { host: "::1" })).toMatchObject({ status: 404 })
      })

      it("logs from the level that is wanted, as JSON on stdout", async () => {
        const target = await app(hello)
        await pool.query(addApp({ domain: "app.example.com", port: target.port }))
        const { edge, port } = await loaded({ EDGEPROXY_LOG_LEVEL: "verbose" })
        await ask(port, "app.example.com")
        await ask(port, "nobody.example.com")
        await edge.logged("no route found")
        expect(edge.log().map(({ level, message }) => `${level} ${message}`)).toEqual([
          "info starting edgeproxy",
          "info edgeproxy listening",
          "info routes updated",
          "warn no route found",
        ])
        expect(edge.err()).toBe("")
      })
    })

    describe("a stop", () => {
      const slowApp = async () => {
        const finish = Promise.withResolvers<void>()
        const target = await app((request, response) => {
          if (request.url === "/") return response.end("well")
          response.write("begun ")
          return void finish.promise.then(() => response.end("done"))
        })
        await pool.query(addApp({ domain: "app.example.com", port: target.port }))
        return { finish: finish.resolve, target }
      }
      const begun = ({ target }: Awaited<ReturnType<typeof slowApp>>) =>
        expect.poll(() => target.requests.some(({ url }) => url === "/slow"), { timeout: 30_000 }).toBe(true)

      it.each(["SIGTERM", "SIGINT"] as const)(
        "1-15: by %s waits for requests in flight and ends with 0",
        async (signal) => {
          const slow = await slowApp()
          const { edge, port } = await loaded()
          const response = ask(port, "app.example.com", { path: "/slow" })
          await begun(slow)
          edge.child.kill(signal)
          await edge.logged("edgeproxy stopping", { signal })
          await expect
            .poll(() => ask(port, "app.example.com").then(String, () => "refused"), { timeout: 30_000 })
            .toBe("refused")
          slow.finish()
          expect(await response).toMatchObject({ status: 200, body: "begun done" })
          expect(await edge.exited).toBe(0)
          expect(edge.log().at(-1)).toMatchObject({ level: "info", message: "edgeproxy stopped gracefully" })
        },
      )

      it("1-15: cuts off what takes longer than the drain, and ends with 1", async () => {
        const slow = await slowApp()
        const { edge, port } = await loaded({ INGRESS_EDGE_DRAIN: "200ms" })
        const response = ask(port, "app.example.com", { path: "/slow" })
        await begun(slow)
        edge.child.kill("SIGTERM")
        await expect(response).rejects.toThrow(/aborted|hang up|ECONNRESET/)
        expect(await edge.exited).toBe(1)
        expect(edge.log().at(-1)).toMatchObject({ level: "error" })
      })

      it("at once ends with 0 when nothing is in flight", async () => {
        const { edge } = await loaded()
        edge.child.kill("SIGTERM")
        expect(await edge.exited).toBe(0)
      })
    })
  })
})
