import { createSocket } from "node:dgram"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import type { Server, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { buffer } from "node:stream/consumers"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { closedPort, listen, machine, signing } from "../../../machine-proxy/test/harness.ts"
import { createServer as createHttpServer } from "node:http"
import { serveNode } from "../../src/hosts/node.ts"
import { startInWorkerd, startMachine } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { certificate as identity } from "../tcp/harness.ts"
import { forwardTo, runForward, stopForwards } from "./forwarded.ts"
import { routerFor } from "./router.ts"
import type { TunnelSetup } from "./router.ts"

const startNode = async (setup: TunnelSetup): Promise<RunningHost> => {
  const { port, close } = await serveNode(routerFor(setup)).listen({ hostname: "127.0.0.1" })
  return { port, close: () => close({ deadlineMs: 0 }) }
}
const hosts = {
  serveNode: startNode,
  workerd: (setup: TunnelSetup) => startInWorkerd(new URL("worker.ts", import.meta.url), setup),
}

/** What is closed after all tests. */
const closing: (() => unknown)[] = []
/** The app's connections, by what the client says first: one behaviour each. */
const seen: Socket[] = []
let app: number
let closed: number
let http: number
let udp: number
let proxy: RunningHost

beforeAll(async () => {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    seen.push(socket)
    socket.on("error", () => undefined)
    socket.once("data", (bytes: Buffer) => {
      const end = bytes.indexOf("\n") + 1
      const what = bytes.subarray(0, end).toString()
      if (end < bytes.length) socket.unshift(bytes.subarray(end))
      if (what === "echo\n") socket.pipe(socket)
      else if (what === "count\n") void buffer(socket).then((rest) => socket.end(`got ${rest.length}`))
      else if (what === "bye\n") socket.end("all I have")
      else if (what === "reset\n") socket.resetAndDestroy()
    })
  })
  app = await listen(server)
  closed = await closedPort()
  const web = createHttpServer((_request, response) => response.end("http"))
  http = await listen(web)
  const datagrams = createSocket("udp4")
  datagrams.on("message", (bytes, { port, address }) => datagrams.send(`re:${String(bytes)}`, port, address))
  await new Promise<void>((resolve) => datagrams.bind(0, "127.0.0.1", resolve))
  udp = datagrams.address().port
  proxy = await startMachine()
  closing.push(
    () => proxy.close(),
    () => datagrams.close(),
    () => web.close(),
    () => {
      for (const socket of seen) socket.destroy()
      server.close()
    },
  )
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})
afterEach(stopForwards)

const setup = (): TunnelSetup => {
  const tcp = { protocol: "tcp" as const }
  return {
    machine,
    origin: { port: proxy.port },
    signingKey: signing,
    ports: { [app]: tcp, [closed]: tcp, [udp]: { protocol: "udp" } },
  }
}

const open = async (port: number): Promise<Socket> => {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  return socket
}

describe.each(Object.entries(hosts))("project-ingress forward, through the router on %s", (_name, start) => {
  let host: RunningHost
  beforeAll(async () => {
    host = await start(setup())
  })
  afterAll(() => host.close())

  it("carries bytes both ways, and each side's end without the other's", async () => {
    const { port, problems } = await forwardTo(app, host.port)
    const echoed = await open(port)
    echoed.write("echo\n")
    const sent = Buffer.alloc(1_000_000, "0123456789")
    echoed.end(sent)
    expect((await buffer(echoed)).equals(sent)).toBe(true)

    const counted = await open(port)
    counted.write("count\n")
    counted.end("12345")
    expect((await buffer(counted)).toString()).toBe("got 5")

    const left = await open(port)
    left.write("bye\n")
    expect((await buffer(left)).toString()).toBe("all I have")
    const rest = buffer(seen.at(-1)!)
    left.end("more")
    expect((await rest).toString()).toBe("more")
    expect(problems()).toBe("")
  })

  it("passes a reset on in both directions, and tells of the app's", async () => {
    const { port, problems } = await forwardTo(app, host.port)
    const first = await open(port)
    const error = new Promise((resolve) => first.once("error", resolve))
    first.write("reset\n")
    expect(await error).toMatchObject({ code: "ECONNRESET" })
    await expect.poll(problems, { timeout: 20_000 }).toBe("project-ingress: the connection was reset (1011)\n")
    const count = seen.length
    const second = await open(port)
    second.write("echo\nx")
    await new Promise((resolve) => second.once("data", resolve))
    const gone = new Promise((resolve) => seen[count]!.once("close", resolve))
    second.resetAndDestroy()
    await gone
  }, 30_000)

  it("says what is wrong, and what to do, for each connection", async () => {
    const refused = async (port: number, ...more: readonly string[]): Promise<string> => {
      const forwarded = await forwardTo(port, host.port, "--once", ...more)
      const socket = await open(forwarded.port)
      socket.on("error", () => undefined)
      expect(await forwarded.exit).toBe(1)
      return forwarded.problems()
    }
    expect(await refused(closed)).toMatch(
      /PORT_CLOSED: Port \d+ is not listening yet\. Start the app in the machine.*\n$/,
    )
    expect(await refused(http)).toMatch(
      /TUNNEL_NOT_ALLOWED: .* Set protocol of port \d+ in the project's record to "tcp"\. If it is "udp", add --udp\.\n$/,
    )
  })
})

describe("project-ingress forward", () => {
  let host: RunningHost
  beforeAll(async () => {
    host = await startNode(setup())
  })
  afterAll(() => host.close())

  it("carries datagrams of several local senders, each with its own responses", async () => {
    const { port } = await forwardTo(udp, host.port, "--udp")
    const senders = await Promise.all(
      ["a", "b"].map(async (name) => {
        const socket = createSocket("udp4")
        const got: string[] = []
        socket.on("message", (bytes) => got.push(String(bytes)))
        await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
        return { name, socket, got }
      }),
    )
    for (const { name, socket } of senders) socket.send(name, port, "127.0.0.1")
    for (const { name, got } of senders) await expect.poll(() => got, { timeout: 20_000 }).toEqual([`re:${name}`])
    for (const { socket } of senders) socket.close()
  })

  it("ends with the first connection by --once, with 0 if it ended in order", async () => {
    const { port, exit } = await forwardTo(app, host.port, "--once")
    const socket = await open(port)
    socket.end("count\n")
    await buffer(socket)
    expect(await exit).toBe(0)
  })

  it("sends a token of the environment or of a file, and cookies, never of an argument", async () => {
    const asked: (readonly (string | undefined)[])[] = []
    const server = createHttpServer()
    server.on("upgrade", ({ headers, url }, socket: Socket) => {
      asked.push([headers.authorization, headers.cookie, url])
      const body = JSON.stringify({ error: "LOGIN_REQUIRED", message: "Sign in. \u001b[31m" })
      socket.end(`HTTP/1.1 401 Unauthorized\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    })
    const port = await listen(server)
    const folder = mkdtempSync(join(tmpdir(), "ingress-token-"))
    const file = join(folder, "token")
    writeFileSync(file, "ingress_file\n")
    const attempt = async (args: readonly string[], env: Record<string, string> = {}): Promise<string> => {
      const url = `http://5432__misha.localhost:${port}`
      const found = await runForward(["5432", url, "--address", "127.0.0.1", "--listen", "0", "--once", ...args], env)
      if ("err" in found) throw new Error(found.err)
      const socket = await open(found.port)
      socket.on("error", () => undefined)
      expect(await found.exit).toBe(1)
      return found.problems()
    }
    try {
      const said = await attempt([], { INGRESS_TOKEN: "ingress_default" })
      expect(said).toBe(
        "project-ingress: LOGIN_REQUIRED: Sign in.  [31m. Put a token into INGRESS_TOKEN, or a session's cookie into a variable, and name it with --cookie-env.\n",
      )
      await attempt(["--token-env", "MINE", "--cookie-env", "JAR"], { MINE: "ingress_mine", JAR: "s=1" })
      await attempt(["--token-file", file], { INGRESS_TOKEN: "ingress_default" })
      expect(asked).toEqual([
        ["Bearer ingress_default", undefined, "/"],
        ["Bearer ingress_mine", "s=1", "/"],
        ["Bearer ingress_file", undefined, "/"],
      ])
    } finally {
      server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it("leads to this computer by a name below localhost, whatever DNS says", async () => {
    const found = await runForward([String(app), `http://${app}__misha.localhost:${host.port}`, "--listen", "0"])
    if ("err" in found) throw new Error(found.err)
    const socket = await open(found.port)
    socket.on("error", () => undefined)
    socket.resume()
    // The router's grammar has another domain: it is the router who says so, and not the resolver.
    await expect.poll(found.problems, { timeout: 20_000 }).toMatch(/ROUTE_NOT_FOUND/)
  })

  it("says once that connections wait, as they do while a machine is started", async () => {
    // A router that has not decided yet.
    const server = createHttpServer().on("upgrade", (_request, socket: Socket) => void seen.push(socket))
    const port = await listen(server)
    const found = await runForward(["5432", `http://5432__misha.localhost:${port}`, "--listen", "0"])
    if ("err" in found) throw new Error(found.err)
    const sockets = await Promise.all([open(found.port), open(found.port)])
    const line = "project-ingress: waiting for 5432__misha.localhost: if its machine sleeps, it is started now\n"
    await expect.poll(found.problems, { timeout: 20_000 }).toBe(line)
    expect(await found.stop()).toBe(0)
    expect(found.problems()).toBe(line)
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it("says what to do where http and https were taken for each other, and where a certificate is for others", async () => {
    const attempt = async (url: string, ...more: readonly string[]): Promise<string> => {
      const found = await runForward(["5432", url, "--address", "127.0.0.1", "--listen", "0", "--once", ...more])
      if ("err" in found) throw new Error(found.err)
      const socket = await open(found.port)
      socket.on("error", () => undefined)
      expect(await found.exit).toBe(1)
      return found.problems()
    }
    const folder = mkdtempSync(join(tmpdir(), "ingress-ca-"))
    const ca = join(folder, "ca.pem")
    writeFileSync(ca, identity.cert)
    const server = createTlsServer(identity)
    try {
      const port = await listen(server)
      expect(await attempt(`http://misha.iterate.app:${port}`)).toBe(
        "project-ingress: socket hang up. If TLS is spoken there, write https:// into the URL.\n",
      )
      expect(await attempt(`https://misha.iterate.app:${http}`)).toBe(
        "project-ingress: the TLS handshake failed: wrong version number. If no TLS is spoken there, write http:// into the URL.\n",
      )
      expect(await attempt(`https://misha.elsewhere.example:${port}`, "--ca", ca)).toMatch(
        /does not match certificate's altnames.* Look whether the hostname is right: project-ingress doctor\.\n$/,
      )
    } finally {
      server.close()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it.each([
    [["5432"], "forward needs a port and a project, hostname or URL: forward 5432 misha. See --help"],
    [["5432", "misha", "--udq"], "--udq is no option: see --help"],
    [["5432", "misha.iterate.app", "--machine"], "--machine is no option of forward: see --help"],
    [
      ["5432", "misha"],
      "misha is the name of a project: say below which domain, with --domain or INGRESS_DOMAIN, or give the port's hostname",
    ],
  ])("ends with 3 where it cannot use what it was given: %s", async (args, said) => {
    expect(await runForward(args, { INGRESS_DOMAIN: "" })).toEqual({ code: 3, err: `project-ingress: ${said}\n` })
  })

  it("says that a local port is in use", async () => {
    const taken = createServer()
    const port = await listen(taken)
    const found = await runForward([String(port), "misha.iterate.app"])
    expect(found).toMatchObject({ code: 3, err: expect.stringContaining("--listen 0 takes a free one") as string })
    taken.close()
  })
})
