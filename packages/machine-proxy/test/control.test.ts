import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { generateTicketKeys, machineKey, signTicket } from "@project-ingress/forward"
import type { TicketScope } from "@project-ingress/forward"
import { WebSocket, WebSocketServer } from "ws"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { closedPort, get, listen, machine, raw, signing, startApp, startProxy, ticketFor } from "./harness.ts"
import type { Running } from "./harness.ts"

let proxy: Running
let app: Running
beforeAll(async () => {
  app = await startApp()
  proxy = await startProxy()
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await app[Symbol.asyncDispose]()
})

const scoped = (scope: TicketScope) => signTicket(signing, { machine, scope })

const control = async (
  path: string,
  {
    ticket,
    method = "GET",
    body = "",
    port = proxy.port,
  }: { ticket?: string; method?: string; body?: string; port?: number },
) => {
  const sent = ticket === undefined ? [] : [`x-iterate-proxy-ticket: ${ticket}`]
  return raw(port, [`${method} ${path} HTTP/1.1`, "Host: m", ...sent, `Content-Length: ${body.length}`], body)
}

const portsOf = async (query = "", port = proxy.port) => {
  const { status, body } = await control(`/__ingress/ports${query}`, { ticket: await scoped("inspect"), port })
  expect(status).toBe(200)
  return JSON.parse(body) as { ports: { port: number; process?: string }[]; version: string }
}

const endSessions = async (sessions: unknown, port = proxy.port) =>
  control("/__ingress/end-sessions", {
    ticket: await scoped("control"),
    method: "POST",
    body: JSON.stringify({ sessions }),
    port,
  })

describe("tickets", () => {
  it("of a scope say nothing of a port, so that a proxy without scopes refuses them", async () => {
    const [, payload] = (await scoped("control")).split(".")
    const claims = JSON.parse(Buffer.from(payload!, "base64url").toString()) as Record<string, unknown>
    expect(Object.keys(claims).toSorted()).toEqual(["aud", "exp", "iat", "jti", "scope"])
  })

  it.each(["/__ingress/ports", "/__ingress/end-sessions"])("of a visitor never open %s", async (path) => {
    const method = path.endsWith("ports") ? "GET" : "POST"
    const ticket = ticketFor(`localhost:${app.port}`)
    const { status, headers } = await control(path, { ticket, method, body: '{"sessions":"all"}' })
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([403, "TICKET_WRONG_TARGET"])
  })

  it.each(["inspect", "control"] as const)("of scope %s never open an app's port", async (scope) => {
    const { status, headers } = await raw(proxy.port, [
      "GET / HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-ticket: ${await scoped(scope)}`,
      `x-iterate-proxy-target-host: localhost:${app.port}`,
    ])
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([403, "TICKET_WRONG_TARGET"])
  })

  it("of one scope never open the other's path", async () => {
    const ports = await control("/__ingress/ports", { ticket: await scoped("control") })
    const body = '{"sessions":"all"}'
    const end = await control("/__ingress/end-sessions", { ticket: await scoped("inspect"), method: "POST", body })
    expect([ports.status, end.status]).toEqual([403, 403])
  })

  it("are needed, and useless without keys", async () => {
    await using insecure = await startProxy({ keys: "insecure" })
    expect((await control("/__ingress/ports", {})).status).toBe(401)
    for (const ticket of [await scoped("inspect"), undefined]) {
      const { status, headers } = await control("/__ingress/ports", { ...(ticket && { ticket }), port: insecure.port })
      expect([status, headers["x-iterate-proxy-error"]]).toEqual([501, "CONTROL_UNAVAILABLE"])
    }
  })

  it("with a stamped response prove the machine, for the scope alone", async () => {
    const { signing: key } = await generateTicketKeys("k2")
    await using proven = await startProxy({ keys: [await machineKey(key, machine)] })
    const ticket = await signTicket(key, { machine, scope: "inspect" })
    const { headers } = await control("/__ingress/ports", { ticket, port: proven.port })
    expect(headers["x-iterate-proxy-stamp"]).toMatch(/^[\w-]{43}$/)
    const refusal = await control("/__ingress/end-sessions", { ticket, method: "POST", body: "{}", port: proven.port })
    expect(refusal.headers["x-iterate-proxy-stamp"]).toMatch(/^[\w-]{43}$/)
    expect(refusal.headers["x-iterate-proxy-stamp"]).not.toBe(headers["x-iterate-proxy-stamp"])
  })

  it("leave an app's own path of that name to the app", async () => {
    const { body } = await get(proxy.port, app.port, [], "/__ingress/ports?wait=1")
    expect(body).toContain('"url":"/__ingress/ports?wait=1"')
  })
})

describe("the list of ports", () => {
  it("has what listens on loopback or everywhere, and never the proxy", async () => {
    await using everywhere = await startApp("0.0.0.0")
    const { ports } = await portsOf()
    const numbers = ports.map(({ port }) => port)
    expect(numbers).toEqual(expect.arrayContaining([app.port, everywhere.port]))
    expect(numbers).not.toContain(proxy.port)
  })

  it.runIf(process.platform === "linux")("names the process", async () => {
    const { ports } = await portsOf()
    expect(ports.find(({ port }) => port === app.port)!.process).toMatch(/\w/)
  })

  it("has no port that is not allowed", async () => {
    await using denied = await startProxy({ ports: { deny: [app.port] } })
    const { ports } = await portsOf("", denied.port)
    expect(ports.map(({ port }) => port)).not.toContain(app.port)
    expect(ports.length).toBeGreaterThan(0)
  })

  it("waits for a new listener", async () => {
    const port = await closedPort()
    const { version } = await portsOf()
    const waiting = portsOf(`?wait=25000&since=${version}`)
    const server = net.createServer()
    server.listen(port, "127.0.0.1")
    const { ports } = await waiting
    server.close()
    expect(ports.map((each) => each.port)).toContain(port)
  })

  it("gives who waits too long the same again", async () => {
    await using alone = await startProxy({ ports: { allow: [app.port] } })
    const first = await portsOf("", alone.port)
    expect(await portsOf("?wait=50", alone.port)).toEqual(first)
  })
})

/** An app with an event stream, an endless upload and a WebSocket, which counts what it reads. */
const startStreams = async () => {
  const seen: (string | undefined)[] = []
  let read = 0
  let messages = 0
  const server = http.createServer((request, response) => {
    seen.push(request.headers["x-iterate-proxy-session"] as string | undefined)
    if (request.method === "POST") request.on("data", (chunk: Buffer) => (read += chunk.length))
    else response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n")
  })
  const sockets = new WebSocketServer({ server })
  sockets.on("connection", (socket) =>
    socket.on("message", (data) => {
      messages++
      socket.send((data as Buffer).toString() === "f" ? Buffer.alloc(32_000_000) : data)
    }),
  )
  const port = await listen(server)
  return {
    port,
    seen,
    read: () => read,
    messages: () => messages,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

const fields = (appPort: number, session: string | undefined) => ({
  "x-iterate-proxy-ticket": ticketFor(`localhost:${appPort}`),
  "x-iterate-proxy-target-host": `localhost:${appPort}`,
  ...(session === undefined ? {} : { "x-iterate-proxy-session": session }),
})

/** An event stream that has begun; `ended` says how. */
const stream = async (appPort: number, session: string | undefined, port = proxy.port) => {
  const request = http.get({ host: "127.0.0.1", port, headers: fields(appPort, session), agent: false })
  const [response] = (await once(request, "response")) as [http.IncomingMessage]
  request.on("error", () => undefined)
  const ended = new Promise<string>((resolve) => {
    response.on("error", (error) => resolve(error.message)).on("end", () => resolve("complete"))
  })
  response.resume()
  return { ended, close: () => request.destroy() }
}

const socketTo = async (appPort: number, session: string) => {
  const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/`, { headers: fields(appPort, session) })
  await once(socket, "open")
  const closed = new Promise<number>((resolve) => socket.on("close", resolve))
  return { socket, closed }
}

describe("ended sessions", () => {
  it("lose their streams, uploads and WebSockets, and nobody else loses any", async () => {
    await using streams = await startStreams()
    const gone = await stream(streams.port, "s-gone")
    const kept = await Promise.all([stream(streams.port, "s-kept"), stream(streams.port, undefined)])
    const { closed } = await socketTo(streams.port, "s-gone")
    const other = await socketTo(streams.port, "s-kept")
    const upload = http.request({
      host: "127.0.0.1",
      port: proxy.port,
      method: "POST",
      headers: fields(streams.port, "s-gone"),
      agent: false,
    })
    upload.on("error", () => undefined).write("begin")
    const refused = once(upload, "response") as Promise<[http.IncomingMessage]>
    await expect.poll(streams.read).toBe(5)

    const { status, body } = await endSessions(["s-gone", "s-unknown"])
    expect([status, JSON.parse(body)]).toEqual([200, { ended: 3 }])
    // A part must not pass for the whole.
    expect(await gone.ended).toMatch(/aborted|ECONNRESET|socket hang up/)
    expect(await closed).toBe(1008)
    const [response] = await refused
    expect([response.statusCode, response.headers["x-iterate-proxy-error"]]).toEqual([403, "ACCESS_WITHDRAWN"])

    const echoed = once(other.socket, "message")
    other.socket.send("still here")
    expect(String((await echoed)[0])).toBe("still here")
    expect(await Promise.race([...kept.map((each) => each.ended), Promise.resolve("open")])).toBe("open")
    expect(new Set(streams.seen)).toEqual(new Set([undefined]))
    for (const each of kept) each.close()
    other.socket.close()
  })

  it("say nothing more to the app, by a client that reads nothing and is not gone yet either", async () => {
    await using streams = await startStreams()
    const socket = net.connect({ port: proxy.port, host: "127.0.0.1" })
    const upgrade = { ...fields(streams.port, "s-stubborn"), Host: "m", Connection: "Upgrade", Upgrade: "websocket" }
    const handshake = { ...upgrade, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==" }
    const lines = Object.entries(handshake).map(([name, value]) => `${name}: ${value}`)
    socket.pause().on("error", () => undefined)
    socket.write(["GET / HTTP/1.1", ...lines, "", ""].join("\r\n"))
    // A text frame of one masked byte, "f", to which the app responds with more than any buffer holds.
    const frame = Buffer.of(0x81, 0x81, 0, 0, 0, 0, 0x66)
    socket.write(frame)
    await expect.poll(streams.messages).toBe(1)
    await endSessions(["s-stubborn"])
    for (let sent = 0; sent < 10; sent++) {
      socket.write(frame)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    socket.destroy()
    expect(streams.messages()).toBe(1)
  })

  it("cannot open another one for a moment: a request may have been on its way", async () => {
    await endSessions(["s-late"])
    const late = await get(proxy.port, app.port, ["x-iterate-proxy-session: s-late"])
    const other = await get(proxy.port, app.port, ["x-iterate-proxy-session: s-other"])
    expect([late.status, late.headers["x-iterate-proxy-error"], other.status]).toEqual([403, "ACCESS_WITHDRAWN", 200])
  })

  it("are all of them by `all`, but not what nobody signed in for", async () => {
    await using own = await startProxy()
    await using streams = await startStreams()
    const [one, two, anonymous] = await Promise.all([
      stream(streams.port, "a", own.port),
      stream(streams.port, "b", own.port),
      stream(streams.port, undefined, own.port),
    ])
    expect(JSON.parse((await endSessions("all", own.port)).body)).toEqual({ ended: 2 })
    await Promise.all([one.ended, two.ended])
    expect(await Promise.race([anonymous.ended, Promise.resolve("open")])).toBe("open")
    anonymous.close()
  })

  it.each([
    ["a blank", ["a b"]],
    ["a letter beyond ASCII", ["é"]],
    ["none", [""]],
    ["a long one", ["x".repeat(129)]],
    ["a number", [1]],
    ["a word", "every"],
    ["nothing", undefined],
    ["too many", Array.from({ length: 1_001 }, () => "a")],
  ])("must be named by ids: %s", async (_, sessions) => {
    const { status, headers } = await endSessions(sessions)
    expect([status, headers["x-iterate-proxy-error"]]).toEqual([400, "CONTROL_INVALID"])
  })

  it("are not named by a body that is too long, or that is not JSON", async () => {
    const ticket = await scoped("control")
    for (const body of ["{", "null", `"${"x".repeat(300_000)}"`]) {
      const { status } = await control("/__ingress/end-sessions", { ticket, method: "POST", body })
      expect(status).toBe(400)
    }
  })

  it("are named to no app, by a sender without a ticket either", async () => {
    await using insecure = await startProxy({ keys: "insecure" })
    await using streams = await startStreams()
    const opened = await stream(streams.port, "s-claimed", insecure.port)
    expect(streams.seen).toEqual([undefined])
    opened.close()
  })
})
