import { spawn } from "node:child_process"
import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { fileURLToPath } from "node:url"
import { afterEach, describe, expect, it } from "vitest"
import { listen, machine, raw, startApp, ticket, verification } from "./harness.ts"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const keys = { INGRESS_MACHINE: machine, INGRESS_TICKET_KEYS: JSON.stringify({ keys: [verification] }) }
const children = new Set<ReturnType<typeof start>>()

const start = (environment: Record<string, string>, flags: readonly string[] = []) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", bin, ...flags], {
    env: { PATH: process.env["PATH"] ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  })
  const running = { child, out: "", err: "", exited: once(child, "close") as Promise<[number | null, string | null]> }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (running.out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (running.err += text))
  children.add(running)
  return running
}

const ready = async (running: ReturnType<typeof start>): Promise<{ readonly port: number; readonly host: string }> => {
  await expect.poll(() => running.out + running.err, { timeout: 20_000 }).toContain('"message":"ready"')
  return JSON.parse(running.out.split("\n").find((text) => text.includes('"ready"'))!) as { port: number; host: string }
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

  it("helps and tells its version", async () => {
    const [help, version] = [start({}, ["--help"]), start({}, ["--version"])]
    expect((await help.exited)[0]).toBe(0)
    expect((await version.exited)[0]).toBe(0)
    expect(help.out).toContain("INGRESS_TICKET_KEYS")
    expect(version.out).toMatch(/^\d+\.\d+\.\d+/)
  })

  it("says in one line that its port is taken, and exits 1", async () => {
    const server = net.createServer()
    const port = await listen(server)
    const running = start({ ...keys, HOST: "127.0.0.1", PORT: String(port) })
    expect((await running.exited)[0]).toBe(1)
    expect(running.err.trim()).toBe(
      `project-ingress-machine-proxy: cannot listen on 127.0.0.1 port ${port}: the port is in use`,
    )
    server.close()
  })

  it("starts without keys only when told to, and warns", async () => {
    const running = start({ INGRESS_MACHINE: machine, PORT: "0", HOST: "127.0.0.1" }, ["--insecure"])
    expect(await ready(running)).toMatchObject({ level: "info", machine, host: "127.0.0.1", insecure: true })
    expect(running.err).toContain("--insecure")
  })

  it("serves, and logs a line without the query", async () => {
    await using app = await startApp()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const answer = await raw(port, [
      "GET /a?token=s3cr3t HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-ticket: ${ticket}`,
      `x-iterate-proxy-target-host: localhost:${app.port}`,
    ])
    expect(answer.status).toBe(200)
    await expect.poll(() => running.out).toContain('"path":"/a"')
    expect(running.out).not.toContain("s3cr3t")
    expect(running.out).not.toContain(ticket)
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
    `x-iterate-proxy-ticket: ${ticket}`,
    `x-iterate-proxy-target-host: localhost:${appPort}`,
  ])
const inFlight = (server: http.Server) => once(server, "request")

describe("a stop", () => {
  it("takes no new connections, finishes the request at hand and exits 0", async () => {
    const { server, port: appPort, finish } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const asked = inFlight(server)
    const answer = ask(port, appPort)
    await asked
    running.child.kill("SIGTERM")
    await expect.poll(() => running.out).toContain('"stopping"')
    await expect(ask(port, appPort)).rejects.toThrow("ECONNREFUSED")
    finish()
    expect((await answer).body).toContain("last")
    expect(await running.exited).toEqual([0, null])
    server.close()
  })

  it("ends what is left at the deadline", async () => {
    const { server, port: appPort } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1", INGRESS_DRAIN_MS: "100" })
    const { port } = await ready(running)
    const asked = inFlight(server)
    const answer = ask(port, appPort).catch(() => undefined)
    await asked
    running.child.kill("SIGINT")
    expect(await running.exited).toEqual([0, null])
    // Cut off, not ended: there is no last chunk.
    expect((await answer)?.body ?? "").not.toContain("0\r\n\r\n")
    server.closeAllConnections()
    server.close()
  })

  it("asked for twice does not wait", async () => {
    const { server, port: appPort } = await slow()
    const running = start({ ...keys, PORT: "0", HOST: "127.0.0.1" })
    const { port } = await ready(running)
    const asked = inFlight(server)
    void ask(port, appPort).catch(() => undefined)
    await asked
    running.child.kill("SIGTERM")
    await expect.poll(() => running.out).toContain('"stopping"')
    running.child.kill("SIGTERM")
    expect((await running.exited)[0]).toBe(130)
    server.closeAllConnections()
    server.close()
  })
})
