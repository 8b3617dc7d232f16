import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { connect } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { machineKey } from "@project-ingress/forward"
import { RELAY_PROTOCOL, relayAudience, signRelayProof } from "@project-ingress/forward/internal"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { everything, onlyInAll } from "../../../test/requirements.ts"
import { startRelay } from "./relay-fixture.ts"
import type { Connected, RelayWorker } from "./relay-fixture.ts"

const MB = 1_000_000
/** An app with what the tests need: bulk, bodies that are held, WebSockets. */
const seen = { sent: 0, received: 0, hold: undefined as IncomingMessage | undefined, requests: 0 }
const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * MB })
const piece = Buffer.alloc(65_536, "0123456789abcdef")

const respond = (request: IncomingMessage, response: ServerResponse): void => {
  const url = new URL(request.url!, "http://app.test")
  const bytes = Number(url.searchParams.get("bytes"))
  seen.requests++
  switch (url.pathname) {
    case "/bulk": {
      seen.sent = 0
      const next = (): void => {
        while (seen.sent < bytes) {
          const part = piece.subarray(0, Math.min(piece.length, bytes - seen.sent))
          seen.sent += part.length
          if (!response.write(part)) return void response.once("drain", next)
        }
        response.end()
      }
      return next()
    }
    case "/sink":
      seen.received = 0
      request.on("data", (part: Buffer) => (seen.received += part.length))
      request.on("end", () => response.end(String(seen.received)))
      return undefined
    case "/stuck-sink":
      seen.hold = request
      seen.received = 0
      return undefined
    case "/first":
      response.writeHead(200, { "content-type": "text/plain" })
      response.write("first")
      return undefined
    case "/fields":
      response.setHeader("x-own", Buffer.from("caf\u00e9 \u010d\u010a").toString("latin1"))
      // Not a text: Node would write the head in the coding of the body.
      return void response.end(Buffer.from(JSON.stringify(request.headers)))
    case "/never":
      return undefined
    case "/told":
      response.setHeader("x-project-ingress-relay", "not-connected")
      response.setHeader("set-cookie", ["a=1", "b=2"])
      return void response.end("mine")
    default:
      return void response.end(`${request.method} ${request.url}`)
  }
}

let relay: RelayWorker
let app: Server
let port: number
const open = new Set<Socket>()
const processes = new Set<ChildProcess>()

beforeAll(async () => {
  app = createServer(respond)
  app.on("connection", (socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  })
  app.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (client) => sockets.emit("connection", client, request))
  })
  sockets.on("connection", (client: WebSocket, request: IncomingMessage) => {
    client.on("error", () => {})
    if (request.url === "/flood") {
      const next = (): void => {
        if (client.readyState !== WebSocket.OPEN) return
        seen.sent += piece.length
        client.send(piece, () => setImmediate(next))
      }
      seen.sent = 0
      return next()
    }
    if (request.url === "/stuck") return client.pause()
    return client.on("message", (data: Buffer, binary) => {
      const text = data.toString()
      if (!binary && text.startsWith("close ")) client.close(Number(text.slice(6)), "as asked")
      else if (!binary && text === "vanish") client.terminate()
      else client.send(data, { binary })
    })
  })
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  port = (app.address() as AddressInfo).port
  relay = await startRelay()
}, 60_000)

afterAll(async () => {
  for (const child of processes) child.kill("SIGKILL")
  await relay.close()
  app.close()
  for (const socket of open) socket.destroy()
})

const to = (path: string, id: string, object = id): URL => new URL(`/to/${id}/${object}/${port}${path}`, relay.url)
const get = async (path: string, id: string, object = id): Promise<[number, string]> => {
  const response = await fetch(to(path, id, object))
  return [response.status, await response.text()]
}
const connected = async (machine: string, more?: Parameters<RelayWorker["connect"]>[1]): Promise<Connected> => {
  const connection = await relay.connect(machine, more)
  await connection.until("connected")
  return connection
}
const socketTo = (path: string, id: string): WebSocket => {
  const socket = new WebSocket(to(path, id).href.replace("http:", "ws:"), {
    maxPayload: 64 * MB,
    perMessageDeflate: false,
  })
  socket.on("error", () => {})
  return socket
}
const closing = async (socket: WebSocket): Promise<[number, string]> => {
  const [code, reason] = (await once(socket, "close")) as [number, Buffer]
  return [code, reason.toString()]
}

/** The command, as a machine's image runs it. */
const command = async (machine: string) => {
  const bin = fileURLToPath(new URL("../../machine-proxy/src/bin.ts", import.meta.url))
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", bin], {
    env: {
      HOST: "127.0.0.1",
      PORT: "0",
      INGRESS_MACHINE: machine,
      INGRESS_TICKET_KEYS: JSON.stringify([await machineKey(relay.signing, machine)]),
      INGRESS_RELAY_URL: relay.connectUrl,
    },
    stdio: ["ignore", "pipe", "inherit"],
  })
  processes.add(child)
  const running = { child, out: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (running.out += text))
  await expect.poll(() => running.out, { timeout: 60_000 }).toContain('"state":"connected"')
  return running
}

describe("requests through a relay", { timeout: 60_000 }, () => {
  beforeAll(() => connected("mach_r"))

  it("bring method, path, query and body to the app and its response back", async () => {
    expect(await get("/a%20b?c=d&c=e", "mach_r")).toEqual([200, "GET /a%20b?c=d&c=e"])
    const response = await fetch(to("/sink", "mach_r"), { method: "PUT", body: "hello" })
    expect(await response.text()).toBe("5")
  })

  // Workers read header values as UTF-8: `\u010d\u010a` are two characters there, whose lower bytes are CR and LF.
  it.each(["\u010d\u010ax-evil: 1", "caf\u00e9", "\u{1f600}"])(
    "pass a value on byte for byte, and begin no other field: %j",
    async (value) => {
      await connected("fields")
      const socket = connect(Number(relay.url.port), relay.url.hostname)
      const path = to("/fields", "fields").pathname
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: ${value}\r\n\r\n`)
      let text = ""
      for await (const part of socket) text += String(part)
      const fields = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)) as Record<string, string>
      expect(fields["x-evil"]).toBeUndefined()
      expect(Buffer.from(fields["x-a"]!, "latin1").toString()).toBe(value)
    },
  )

  it("bring a value of a response back byte for byte", async () => {
    await connected("fields-back")
    const socket = connect(Number(relay.url.port), relay.url.hostname)
    const path = to("/fields", "fields-back").pathname
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    let text = ""
    for await (const part of socket) text += String(part)
    expect(/^x-own: (.*)$/im.exec(text)![1]).toBe("caf\u00e9 \u010d\u010a")
  })

  it("cannot be told by an app that its machine is not connected", async () => {
    const response = await fetch(to("/told", "mach_r"))
    expect([response.status, await response.text(), response.headers.get("x-project-ingress-relay")]).toEqual([
      200,
      "mine",
      null,
    ])
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"])
  })

  it("run side by side, more than a Worker has connections", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, (_, i) => get(`/n/${i}`, "mach_r")))
    expect(all).toEqual(Array.from({ length: 100 }, (_, i) => [200, `GET /n/${i}`]))
  })

  it("stay within the streams of one connection, and say so above", async () => {
    const stop = new AbortController()
    const held = Array.from({ length: 256 }, () => fetch(to("/first", "mach_r"), { signal: stop.signal }))
    const responses = await Promise.all(held)
    const one = await fetch(to("/", "mach_r"))
    expect([one.status, await one.json()]).toMatchObject([
      599,
      { _tag: "ProviderUnavailable", message: expect.stringContaining("RELAY_TOO_MANY_STREAMS") },
    ])
    stop.abort()
    await Promise.allSettled(responses.map((response) => response.text()))
  })

  it("go to the machine of their ticket only", async () => {
    await connected("mach_x")
    const [status, text] = await get("/", "mach_r", "mach_x")
    expect([status, JSON.parse(text)]).toMatchObject([599, { _tag: "MachineMismatch" }])
  })

  it("fail at once when no machine has connected", async () => {
    const [status, text] = await get("/", "mach_nobody")
    expect([status, JSON.parse(text)]).toMatchObject([
      599,
      { _tag: "MachineNotRunning", message: expect.stringContaining("not connected") },
    ])
  })
})

/** The resident memory of a process, in bytes. */
const memoryOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1_024

/** The process of workerd that this one started. */
const workerdPid = (): number => {
  const isOurs = (pid: string): boolean => {
    try {
      return (
        readFileSync(`/proc/${pid}/stat`, "utf8")
          .split(/\(workerd\) \S+ /)[1]
          ?.split(" ")[0] === String(process.pid)
      )
    } catch {
      return false
    }
  }
  return Number(readdirSync("/proc").find((pid) => /^\d+$/.test(pid) && isOurs(pid)))
}

describe.skipIf(process.platform !== "linux")("streams through a relay", { timeout: 120_000 }, () => {
  it("of 100 MB each way need a bounded memory in the object and in the machine", async () => {
    const { child } = await command("mach_bulk")
    const [worker, machine] = [workerdPid(), child.pid!]
    // Heaps grow to what a stream of any length needs.
    const warm = await fetch(to(`/bulk?bytes=${30 * MB}`, "mach_bulk"))
    await warm.arrayBuffer()
    await get(`/sink`, "mach_bulk")
    const upload = await fetch(to("/sink", "mach_bulk"), { method: "POST", body: new Uint8Array(30 * MB) })
    expect(await upload.text()).toBe(String(30 * MB))
    const before = [memoryOf(worker), memoryOf(machine)]
    const most = [...before]
    const watch = setInterval(() => {
      most[0] = Math.max(most[0]!, memoryOf(worker))
      most[1] = Math.max(most[1]!, memoryOf(machine))
    }, 20)
    const response = await fetch(to(`/bulk?bytes=${100 * MB}`, "mach_bulk"))
    let got = 0
    for await (const bytes of response.body!) {
      expect(Buffer.from(bytes).subarray(0, 1).toString()).toBe("0123456789abcdef"[got % 16])
      got += bytes.length
    }
    expect(got).toBe(100 * MB)
    let left = 100 * MB
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const part = piece.subarray(0, Math.min(piece.length, left))
        left -= part.length
        if (part.length === 0) controller.close()
        else controller.enqueue(new Uint8Array(part))
      },
    })
    const sent = await fetch(to("/sink", "mach_bulk"), { method: "POST", body, duplex: "half" } as RequestInit)
    expect(await sent.text()).toBe(String(100 * MB))
    clearInterval(watch)
    const grown = most.map((bytes, i) => Math.round((bytes - before[i]!) / MB))
    console.log(`100 MB each way: workerd grew by ${grown[0]} MB, the machine proxy by ${grown[1]} MB`)
    // Less than what went through, which whoever keeps it would have; heaps are collected when the runtimes like it.
    expect(Math.max(...grown)).toBeLessThan(150)
  })

  it("stop at their window while their reader stands still, and hold no other one up", async () => {
    await connected("mach_slow")
    const response = await fetch(to(`/bulk?bytes=${100 * MB}`, "mach_slow"))
    const reader = response.body!.getReader()
    let got = (await reader.read()).value!.length
    for (let i = 0; i < 50; i++) expect(await get(`/quick/${i}`, "mach_slow")).toEqual([200, `GET /quick/${i}`])
    // Windows, and the buffers of the sockets between.
    expect(seen.sent).toBeLessThan(40 * MB)
    for (let next = await reader.read(); !next.done; next = await reader.read()) got += next.value.length
    expect(got).toBe(100 * MB)
  })

  it("stop at their window while their app does not read", async () => {
    await connected("mach_stuck")
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += piece.length
        if (sent > 100 * MB) controller.close()
        else controller.enqueue(new Uint8Array(piece))
      },
    })
    const stop = new AbortController()
    const posted = fetch(to("/stuck-sink", "mach_stuck"), {
      method: "POST",
      body,
      duplex: "half",
      signal: stop.signal,
    } as RequestInit)
    const failed = posted.catch(() => undefined)
    await expect.poll(() => seen.hold).toBeDefined()
    for (let i = 0; i < 50; i++) expect(await get(`/quick/${i}`, "mach_stuck")).toEqual([200, `GET /quick/${i}`])
    expect(sent).toBeLessThan(40 * MB)
    stop.abort()
    await failed
  })
})

describe("WebSockets through a relay", { timeout: 60_000 }, () => {
  beforeAll(() => connected("mach_ws"))

  it("echo text, bytes and messages in fragments", async () => {
    const socket = socketTo("/echo", "mach_ws")
    await once(socket, "open")
    const next = async () => {
      const [data, binary] = (await once(socket, "message")) as [Buffer, boolean]
      return [binary, data.toString()]
    }
    socket.send("héllo 😀")
    expect(await next()).toEqual([false, "héllo 😀"])
    socket.send(Buffer.from("bytes"))
    expect(await next()).toEqual([true, "bytes"])
    socket.send("in ", { fin: false })
    socket.send("pieces", { fin: true })
    expect(await next()).toEqual([false, "in pieces"])
    socket.send(Buffer.alloc(20 * MB, "x"))
    const [large] = (await once(socket, "message")) as [Buffer]
    expect(large.length).toBe(20 * MB)
    socket.close(1000)
    await closing(socket)
  })

  it.each([1000, 1001, 1011, 3000, 4999])("close with the app's own code %i", async (code) => {
    const socket = socketTo("/echo", "mach_ws")
    await once(socket, "open")
    socket.send(`close ${code}`)
    expect(await closing(socket)).toEqual([code, "as asked"])
  })

  it.each([1000, 1001, 3000, 4002])("close at the app with the visitor's code %i", async (code) => {
    const socket = socketTo("/echo", "mach_ws")
    const [atApp] = (await once(sockets, "connection")) as [WebSocket]
    const ended = closing(atApp)
    await once(socket, "open").catch(() => {})
    socket.close(code, "done")
    expect(await ended).toEqual([code, "done"])
  })

  it("break off where the app's breaks off", async () => {
    const socket = socketTo("/echo", "mach_ws")
    await once(socket, "open")
    socket.send("vanish")
    expect((await closing(socket))[0]).toBe(1006)
  })

  it("break off at the app where the visitor's breaks off", async () => {
    const socket = socketTo("/echo", "mach_ws")
    const [atApp] = (await once(sockets, "connection")) as [WebSocket]
    const ended = closing(atApp)
    await once(socket, "open").catch(() => {})
    socket.terminate()
    expect((await ended)[0]).toBe(1006)
  })

  it("run side by side", async () => {
    const all = Array.from({ length: 50 }, () => socketTo("/echo", "mach_ws"))
    const echoed = all.map(async (socket, i) => {
      await once(socket, "open")
      socket.send(`message ${i}`)
      const [data] = (await once(socket, "message")) as [Buffer]
      socket.close()
      return data.toString()
    })
    expect(await Promise.all(echoed)).toEqual(all.map((_, i) => `message ${i}`))
  })

  it("are read at the pace of a visitor who does not read", async () => {
    const socket = socketTo("/flood", "mach_ws")
    await once(socket, "open")
    socket.pause()
    for (let i = 0; i < 50; i++) expect(await get(`/quick/${i}`, "mach_ws")).toEqual([200, `GET /quick/${i}`])
    await expect
      .poll(
        async () => {
          const before = seen.sent
          for (let i = 0; i < 20; i++) await get("/quick", "mach_ws")
          return seen.sent - before
        },
        { timeout: 20_000 },
      )
      .toBe(0)
    // What is between: the buffers of some sockets, and the app's own.
    expect(seen.sent).toBeLessThan(64 * MB)
    socket.terminate()
  })
})

describe("a machine's connection", { timeout: 60_000 }, () => {
  it("is lost when the process is killed: what is open fails, what comes next says so, and a new process takes over", async () => {
    const { child } = await command("mach_kill")
    const response = await fetch(to("/first", "mach_kill"))
    const reader = response.body!.getReader()
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("first")
    const waiting = get("/never", "mach_kill")
    const socket = socketTo("/echo", "mach_kill")
    await once(socket, "open")
    const ended = closing(socket)
    child.kill("SIGKILL")
    await expect(reader.read()).rejects.toThrow("terminated")
    expect(JSON.parse((await waiting)[1])).toMatchObject({
      _tag: expect.stringMatching(/MachineNotRunning|UpstreamFailed/),
    })
    expect((await ended)[0]).toBe(1006)
    expect(JSON.parse((await get("/", "mach_kill"))[1])).toMatchObject({ _tag: "MachineNotRunning" })
    await command("mach_kill")
    expect(await get("/", "mach_kill")).toEqual([200, "GET /"])
  })

  it("ends by a signal once what is open is over, and takes nothing new", async () => {
    const running = await command("mach_term")
    const response = await fetch(to(`/bulk?bytes=${20 * MB}`, "mach_term"))
    running.child.kill("SIGINT")
    await expect.poll(() => running.out).toContain('"stopping"')
    await expect.poll(async () => (await get("/", "mach_term"))[0]).toBe(599)
    expect((await response.arrayBuffer()).byteLength).toBe(20 * MB)
    await once(running.child, "exit")
    expect(running.child.exitCode).toBe(0)
    expect(running.out).toContain('"state":"stopped"')
    expect(running.out).not.toContain("eyJ")
  })

  it("is made again after the object was restarted, and what was open fails", async () => {
    const machine = await connected("mach_again")
    const response = await fetch(to("/first", "mach_again"))
    const reader = response.body!.getReader()
    await reader.read()
    await fetch(new URL("/abort/mach_again", relay.url))
    await expect(reader.read()).rejects.toThrow("terminated")
    const lost = await machine.until("lost")
    expect(lost).toMatchObject({ retryMs: expect.any(Number) })
    expect((lost as { readonly retryMs: number }).retryMs).toBeLessThanOrEqual(500)
    await machine.until("connected", machine.events.indexOf(lost))
    expect(await get("/", "mach_again")).toEqual([200, "GET /"])
  })

  it("belongs to the newest process; the older one is told, and comes back when that is gone", async () => {
    const older = await connected("mach_two")
    const socket = socketTo("/echo", "mach_two")
    await once(socket, "open")
    const ended = closing(socket)
    const newer = await connected("mach_two")
    await older.until("replaced")
    expect(await ended).toEqual([1012, "the machine was replaced"])
    expect(older.connected()).toBe(false)
    expect(await older.until("refused")).toMatchObject({ status: 409 })
    expect(newer.events.map(({ type }) => type)).toEqual(["connected"])
    expect(await get("/", "mach_two")).toEqual([200, "GET /"])
    await newer.close()
    await older.until("connected", 1)
    expect(await get("/", "mach_two")).toEqual([200, "GET /"])
    expect((await relay.events()).events).toContainEqual({ type: "replaced", machine: "mach_two" })
  })

  it("is closed for what is no frame", async () => {
    const proof = await signRelayProof(await machineKey(relay.signing, "mach_bad"), {
      machine: "mach_bad",
      relay: relay.url.host,
    })
    const socket = new WebSocket(`${relay.connectUrl}/mach_bad`, [RELAY_PROTOCOL], {
      headers: { authorization: `Bearer ${proof}` },
    })
    await once(socket, "open")
    socket.send(Buffer.from([9, 9]))
    expect(await closing(socket)).toEqual([4002, "a message is no frame"])
    expect(JSON.parse((await get("/", "mach_bad"))[1])).toMatchObject({ _tag: "MachineNotRunning" })
  })

  it("proves its machine, once, and no stranger wakes an object", async () => {
    const proof = await signRelayProof(await machineKey(relay.signing, "mach_p"), {
      machine: "mach_p",
      relay: relay.url.host,
    })
    const other = await signRelayProof(await machineKey(relay.signing, "mach_q"), {
      machine: "mach_q",
      relay: relay.url.host,
    })
    const elsewhere = await signRelayProof(await machineKey(relay.signing, "mach_p"), {
      machine: "mach_p",
      relay: "other.test",
    })
    const tried = async (bearer: string | undefined, path = "/mach_p"): Promise<number> => {
      const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }
      const socket = new WebSocket(relay.connectUrl + path, [RELAY_PROTOCOL], { headers })
      socket.on("error", () => {})
      const status = await Promise.race([
        once(socket, "open").then(
          () => 101,
          () => 0,
        ),
        once(socket, "unexpected-response").then(([, response]) => (response as IncomingMessage).statusCode!),
      ])
      socket.terminate()
      return status
    }
    const { objects } = await relay.events()
    expect(await tried(undefined)).toBe(401)
    expect(await tried(other)).toBe(401)
    expect(await tried(elsewhere)).toBe(401)
    expect(await tried(proof, "/mach_%")).toBe(404)
    expect((await relay.events()).objects).toBe(objects)
    expect(await tried(proof)).toBe(101)
    expect(await tried(proof)).toBe(401)
    // What is used is used for the object's next life, too.
    await fetch(new URL("/abort/mach_p", relay.url))
    expect(await tried(proof)).toBe(401)
    expect((await relay.events()).events).toContainEqual({ type: "refused", machine: "mach_p", reason: "replay" })
    expect((await fetch(new URL("/connect/mach_p", relay.url))).status).toBe(426)
    const token = "AAAAAAAAAAAAAAAAAAAAAA"
    const dialled = await signRelayProof(await machineKey(relay.signing, "mach_p"), {
      machine: "mach_p",
      relay: relayAudience(relay.url.host, token),
    })
    // What proves one kind of WebSocket never passes for the other.
    expect(await tried(dialled)).toBe(401)
    expect(await tried(proof, `/mach_p?socket=${token}`)).toBe(401)
    expect(await tried(dialled, "/mach_p?socket=AAAAAAAAAAAAAAAAAAAAAA")).toBe(404)
  })
})

describe.skipIf(!everything)(`an object that is idle${onlyInAll}`, { timeout: 60_000 }, () => {
  it("hibernates with its machine connected, and is woken by the next request", async () => {
    const machine = await connected("mach_idle", { heartbeatMs: 3_000 })
    expect(await get("/", "mach_idle")).toEqual([200, "GET /"])
    const { objects } = await relay.events()
    // workerd evicts an object after ten seconds without an event; signs of life are none.
    await new Promise((resolve) => setTimeout(resolve, 13_000))
    expect(await get("/", "mach_idle")).toEqual([200, "GET /"])
    expect((await relay.events()).objects).toBe(objects + 1)
    expect(machine.events.map(({ type }) => type)).toEqual(["connected"])
    const socket = socketTo("/echo", "mach_idle")
    await once(socket, "open")
    await new Promise((resolve) => setTimeout(resolve, 13_000))
    socket.send("still there")
    expect(String((await once(socket, "message"))[0])).toBe("still there")
    socket.terminate()
  })
})

describe("a machine that is silent", { timeout: 60_000 }, () => {
  it("counts as gone, and is told so", async () => {
    const impatient = await startRelay({ DEAD_AFTER_MS: 4_000 })
    try {
      const claims = { machine: "mach_s", relay: impatient.url.host }
      const proof = await signRelayProof(await machineKey(impatient.signing, "mach_s"), claims)
      const headers = { authorization: `Bearer ${proof}` }
      const socket = new WebSocket(`${impatient.connectUrl}/mach_s`, [RELAY_PROTOCOL], { headers })
      await once(socket, "open")
      const ended = closing(socket)
      const state = async () => (await (await fetch(new URL("/status/mach_s", impatient.url))).json()) as unknown
      await expect.poll(state, { timeout: 20_000 }).toEqual({ state: "stopped", detail: "not connected" })
      expect(await ended).toEqual([4003, "no sign of life"])
      // One that gives signs of life stays.
      const alive = await impatient.connect("mach_t", { heartbeatMs: 1_500 })
      await alive.until("connected")
      await new Promise((resolve) => setTimeout(resolve, 5_000))
      const response = await fetch(new URL("/status/mach_t", impatient.url))
      expect(await response.json()).toEqual({ state: "running" })
      expect(alive.events.map(({ type }) => type)).toEqual(["connected"])
    } finally {
      await impatient.close()
    }
  })
})
