import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { connect as connectTls } from "node:tls"
import { fileURLToPath } from "node:url"
import { generateTicketKeys, machineKey, signTicket } from "@project-ingress/forward"
import { publicKeyPin } from "@project-ingress/forward/sockets"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { begin, listen, machine, raw, signing, startApp, ticketFor, verification } from "./harness.ts"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const keys = { INGRESS_MACHINE: machine, INGRESS_TICKET_KEYS: JSON.stringify({ keys: [verification] }) }
const children = new Set<ReturnType<typeof start>>()

const start = (environment: Record<string, string>, flags: readonly string[] = []) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", bin, ...flags], {
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  })
  const running = { child, out: "", err: "", exited: once(child, "close") as Promise<[number | null, string | null]> }
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (running.out += text))
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (running.err += text))
  children.add(running)
  return running
}

interface Ready {
  readonly port: number
  readonly host: string
  readonly pin?: string
}

const ready = async (running: ReturnType<typeof start>): Promise<Ready> => {
  await expect.poll(() => running.out + running.err, { timeout: 60_000 }).toContain('"message":"ready"')
  return JSON.parse(running.out.split("\n").find((text) => text.includes('"ready"'))!) as Ready
}

afterEach(async () => {
  for (const { child, exited } of children) {
    child.kill("SIGKILL")
    await exited
  }
  children.clear()
})

describe("the command", () => {
  it("names every problem on a line of its own and exits 2", async () => {
    const running = start({ PORT: "80a", INGRESS_LOG: "loud", INGRESS_MACHINE: "m" })
    expect((await running.exited)[0]).toBe(2)
    expect(running.err.trim().split("\n")).toHaveLength(3)
    expect(running.err).toMatch(/PORT: "80a" is not accepted; expected .*0 to 65535/)
    expect(running.err).toContain("INGRESS_LOG")
    expect(running.err).toContain("--insecure")
    expect(running.out).toBe("")
  })

  it("refuses a flag it does not know", async () => {
    const running = start(keys, ["--open"])
    expect((await running.exited)[0]).toBe(2)
    expect(running.err).toContain("--open")
  })

  it("prints its help and its version", async () => {
    const [help, version] = [start({}, ["--help"]), start({}, ["--version"])]
    expect((await help.exited)[0]).toBe(0)
    expect((await version.exited)[0]).toBe(0)
    expect(help.out).toContain("INGRESS_TICKET_KEYS")
    expect(version.out).toMatch(/^\d+\.\d+\.\d+/)
  })

  it("says where the port is set, to whom it may concern who tries a flag", async () => {
    const running = start(keys, ["--port", "9000"])
    expect((await running.exited)[0]).toBe(2)
    expect(running.err).toMatch(/'--port'.* Settings are environment variables, as PORT=9000: see --help/)
  })

  it("reports in one line that its port is in use, and exits 1", async () => {
    const server = net.createServer()
    const port = await listen(server)
    const running = start({ ...keys, HOST: "127.0.0.1", PORT: String(port) })
    expect((await running.exited)[0]).toBe(1)
    expect(running.err.trim()).toBe(
      `project-ingress-machine-proxy: cannot listen on 127.0.0.1 port ${port}: the port is in use: set PORT to another one, or to 0 for any free one`,
    )
    server.close()
  })

  it("starts without keys only with --insecure, and warns", async () => {
    const running = start({ INGRESS_MACHINE: machine, PORT: "0", HOST: "127.0.0.1" }, ["--insecure"])
    expect(await ready(running)).toMatchObject({ level: "info", machine, host: "127.0.0.1", insecure: true })
    expect(running.err).toContain("--insecure")
  })

  it("writes a newline to INGRESS_READY_FD and closes it", async () => {
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_READY_FD: "3" })
    const notices: string[] = []
    for await (const chunk of running.child.stdio[3] as Readable) notices.push(String(chunk))
    expect(notices.join("")).toBe("\n")
    await ready(running)
    expect(running.err).toBe("")
  })

  it("serves when INGRESS_READY_FD is not open, and reports it", async () => {
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_READY_FD: "65535" })
    const { port } = await ready(running)
    await expect.poll(() => running.err).toContain("INGRESS_READY_FD cannot be written (EBADF)")
    expect((await raw(port, ["GET /__ingress/health HTTP/1.1", "Host: m"])).status).toBe(200)
  })

  it("serves, and logs a line without the query", async () => {
    await using app = await startApp()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const ticket = ticketFor(`localhost:${app.port}`)
    const response = await raw(port, [
      "GET /a?token=s3cr3t HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-ticket: ${ticket}`,
      `x-iterate-proxy-target-host: localhost:${app.port}`,
    ])
    expect(response.status).toBe(200)
    await expect.poll(() => running.out).toContain('"path":"/a"')
    expect(running.out).not.toContain("s3cr3t")
    expect(running.out).not.toContain(ticket)
  })

  it("says at its start that it cannot prove itself, if its key only verifies, and nothing of the kind with its own key", async () => {
    const plain = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    await ready(plain)
    await expect.poll(() => plain.out).toContain("with the keys k1 this machine cannot prove who it is")
    const own = JSON.stringify([await machineKey(signing, machine)])
    const proven = start({ ...keys, INGRESS_TICKET_KEYS: own, PORT: "0", HOST: "127.0.0.1" })
    await ready(proven)
    proven.child.kill("SIGTERM")
    await proven.exited
    expect(proven.out).not.toContain("cannot prove")
  })
})

describe("a TLS key in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "machine-proxy-"))
  const path = join(folder, "tls.pem")
  afterAll(() => rmSync(folder, { recursive: true }))
  const environment = { ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_TLS_KEY_FILE: path }

  it("is made at the first start, spoken by at every one, and its pin is logged and printed", async () => {
    const pins: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const running = start(environment)
      const { port, pin } = await ready(running)
      const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
      await once(socket, "secureConnect")
      pins.push(pin, publicKeyPin(socket.getPeerX509Certificate()!.publicKey))
      socket.write("GET /__ingress/health HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
      expect(Buffer.concat(await socket.toArray()).toString()).toMatch(/^HTTP\/1\.1 200 /)
      running.child.kill("SIGTERM")
      expect(await running.exited).toEqual([0, null])
    }
    const printed = start({ INGRESS_TLS_KEY_FILE: path }, ["pin"])
    expect((await printed.exited)[0]).toBe(0)
    expect(new Set([...pins, printed.out.trim()])).toEqual(new Set([pins[0]]))
  })

  it("is what a plain request, whose sender sees a closed connection, is logged to need", async () => {
    const running = start(environment)
    const { port } = await ready(running)
    await raw(port, ["GET / HTTP/1.1", "Host: m"]).catch(() => undefined)
    await expect.poll(() => running.out, { timeout: 60_000 }).toContain('"cause":"a plain request came')
  })

  it("that cannot be used stops the start, and is not shown", async () => {
    writeFileSync(path, "s3cr3t")
    const running = start(environment)
    expect((await running.exited)[0]).toBe(2)
    expect(running.err).toContain(`INGRESS_TLS_KEY_FILE: ${JSON.stringify(path)} has no private key`)
    expect(running.err + running.out).not.toContain("s3cr3t")
    const printed = start({}, ["pin", path])
    expect((await printed.exited)[0]).toBe(2)
    expect(printed.err).toContain("pin: ")
  })
})

const slow = async () => {
  let finish: () => void = () => server.closeAllConnections()
  const server = http.createServer((_request, response) => {
    response.write("first ")
    finish = () => response.end("last")
  })
  return { server, port: await listen(server), finish: () => finish() }
}
const ask = (port: number, appPort: number) =>
  raw(port, [
    "GET / HTTP/1.1",
    "Host: m",
    `x-iterate-proxy-ticket: ${ticketFor(`localhost:${appPort}`)}`,
    `x-iterate-proxy-target-host: localhost:${appPort}`,
  ])
const inFlight = (server: http.Server) => once(server, "request")

/** Why nobody can connect; `undefined` where somebody can. */
const refusal = (port: number) =>
  new Promise<string | undefined>((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code))
  })

describe("a stop", () => {
  it("goes on listening in its grace: the health check says no, and each response ends its connection", async () => {
    await using app = await startApp()
    const grace = { INGRESS_DRAIN_MS: "600000", INGRESS_DRAIN_GRACE_MS: "600000" }
    const running = start({ ...keys, ...grace, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const health = () => raw(port, ["GET /__ingress/health HTTP/1.1", "Host: m"])
    expect((await health()).status).toBe(200)
    running.child.kill("SIGTERM")
    await expect.poll(() => running.out).toContain('"stopping"')
    expect(await health()).toMatchObject({ status: 503, body: '{"status":"draining"}\n' })
    const agent = new http.Agent({ keepAlive: true })
    const target = `localhost:${app.port}`
    const headers = { "x-iterate-proxy-ticket": ticketFor(target), "x-iterate-proxy-target-host": target }
    const response = await new Promise<http.IncomingMessage>((resolve) =>
      http.get({ port, host: "127.0.0.1", agent, headers }, resolve),
    )
    expect([response.statusCode, response.headers.connection]).toEqual([200, "close"])
    response.resume()
    agent.destroy()
  })

  it("takes no new connections after its grace, finishes the in-flight request and exits 0", async () => {
    const { server, port: appPort, finish } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_DRAIN_GRACE_MS: "1" })
    const { port } = await ready(running)
    const asked = inFlight(server)
    const response = ask(port, appPort)
    await asked
    running.child.kill("SIGTERM")
    await expect.poll(() => running.out).toContain('"stopping"')
    await expect.poll(() => refusal(port)).toBe("ECONNREFUSED")
    finish()
    expect((await response).body).toContain("last")
    expect(await running.exited).toEqual([0, null])
    server.close()
  })

  it("ends what is left at the deadline", async () => {
    const { server, port: appPort } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_DRAIN_MS: "100" })
    const { port } = await ready(running)
    const asked = inFlight(server)
    const outcome = ask(port, appPort).then(() => "complete", String)
    await asked
    running.child.kill("SIGINT")
    expect(await running.exited).toEqual([0, null])
    // Cut off, not ended.
    expect(await outcome).toContain("ECONNRESET")
    server.closeAllConnections()
    server.close()
  })

  it("requested twice does not wait", async () => {
    const { server, port: appPort } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const response = begin(port, appPort)
    await expect.poll(response.text).toContain("first ")
    running.child.kill("SIGTERM")
    await expect.poll(() => running.out).toContain('"stopping"')
    running.child.kill("SIGTERM")
    expect((await running.exited)[0]).toBe(130)
    server.closeAllConnections()
    server.close()
  })
})

describe("keys in a file", () => {
  const folder = mkdtempSync(join(tmpdir(), "machine-proxy-"))
  const path = join(folder, "keys.json")
  afterAll(() => rmSync(folder, { recursive: true }))
  const write = (...list: readonly object[]) => writeFileSync(path, JSON.stringify({ keys: list }))
  const environment = {
    INGRESS_MACHINE: machine,
    INGRESS_TICKET_KEYS_FILE: path,
    HOST: "127.0.0.1",
    PORT: "0",
  }
  const statusOf = async (port: number, appPort: number, bearer: string) =>
    (
      await raw(port, [
        "GET / HTTP/1.1",
        "Host: m",
        `x-iterate-proxy-ticket: ${bearer}`,
        `x-iterate-proxy-target-host: localhost:${appPort}`,
      ])
    ).status

  it("rotate at SIGHUP: the old one, both, the new one only", async () => {
    await using app = await startApp()
    const next = await generateTicketKeys("k2")
    const newTicket = await signTicket(next.signing, { machine, port: app.port, name: "localhost" })
    write(verification)
    const running = start(environment)
    const { port } = await ready(running)
    const statuses = async () => [
      await statusOf(port, app.port, ticketFor(`localhost:${app.port}`)),
      await statusOf(port, app.port, newTicket),
    ]
    const reload = async (logged: string) => {
      running.child.kill("SIGHUP")
      await expect.poll(() => running.out).toContain(logged)
    }
    expect(await statuses()).toEqual([200, 401])
    write(verification, next.verification)
    expect(await statuses()).toEqual([200, 401])
    await reload('"message":"keys","count":2,"kids":"k1 k2"')
    expect(await statuses()).toEqual([200, 200])
    write(next.verification)
    await reload('"message":"keys","count":1,"kids":"k2"')
    expect(await statuses()).toEqual([401, 200])
  })

  it("do not affect an in-flight request when they are withdrawn", async () => {
    const { server, port: appPort, finish } = await slow()
    const next = await generateTicketKeys("k2")
    write(verification)
    const running = start(environment)
    const { port } = await ready(running)
    const asked = inFlight(server)
    const response = ask(port, appPort)
    await asked
    write(next.verification)
    running.child.kill("SIGHUP")
    await expect.poll(() => running.out).toContain('"kids":"k2"')
    finish()
    expect(await response).toMatchObject({ status: 200, body: expect.stringContaining("last") })
    server.close()
  })

  it("stay when the file is invalid, which is logged without them", async () => {
    await using app = await startApp()
    write(verification)
    const running = start(environment)
    const { port } = await ready(running)
    writeFileSync(path, `{"keys":[{"kid":"k9","alg":"HS256","kty":"oct","k":"s3cr3t"}]}`)
    running.child.kill("SIGHUP")
    await expect.poll(() => running.err).toContain("INGRESS_TICKET_KEYS_FILE key 1 of 1: an HS256 key must have")
    expect(running.err).toContain('"level":"error"')
    expect(running.err).not.toContain("s3cr3t")
    expect(await statusOf(port, app.port, ticketFor(`localhost:${app.port}`))).toBe(200)
  })

  it("stop the start when the file is invalid", async () => {
    writeFileSync(path, "s3cr3t")
    const running = start(environment)
    expect((await running.exited)[0]).toBe(2)
    expect(running.err).toContain("INGRESS_TICKET_KEYS_FILE")
    expect(running.err).not.toContain("s3cr3t")
  })
})
