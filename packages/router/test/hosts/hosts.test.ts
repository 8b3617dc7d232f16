import { createHash } from "node:crypto"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { App, Client, octets, ok } from "../../../machine-proxy/test/catalogue/harness.ts"
import type { Answer, Message } from "../../../machine-proxy/test/catalogue/harness.ts"
import { cases, handshake } from "./cases.ts"
import type { HostCase, Result, Seen } from "./cases.ts"
import { startMachine, startMounted, startNode, startWorker } from "./hosts.ts"
import type { RunningHost } from "./hosts.ts"

type HostName = "the Node host" | "the Worker" | "a mounted router"
const names = ["the Node host", "the Worker", "a mounted router"] as const satisfies HostName[]

let machine: RunningHost
let worker: Awaited<ReturnType<typeof startWorker>>
const hosts = new Map<HostName, RunningHost>()
let app: App
const clients: Client[] = []

beforeAll(async () => {
  machine = await startMachine()
  worker = await startWorker(machine.port)
  hosts.set("the Node host", await startNode(machine.port)).set("the Worker", worker)
  hosts.set("a mounted router", await startMounted(machine.port))
})
afterAll(async () => {
  for (const host of hosts.values()) await host.close()
  await machine.close()
})
beforeEach(async () => {
  app = await new App().listen()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await app.stop()
})

/** Puts `Host` behind the first line. */
const addressed = (request: string, host = `${app.port}__misha.iterate.app`): string =>
  request.replace("\r\n", `\r\nHost: ${host}\r\n`)

/** Sends a request on a connection of its own. */
const connect = async (port: number, request: string): Promise<Client> => {
  const client = new Client(port, { methods: [request.split(" ", 1)[0]!] })
  clients.push(client)
  await client.write(request)
  return client
}

/** What a message shows of what is looked at. */
const shown = (message: Message, { line, fields, body, names: written, trailers }: Seen): Seen => {
  const looked = Object.keys(fields ?? {})
  return {
    ...(line === undefined ? {} : { line: message.line }),
    ...(fields === undefined ? {} : { fields: Object.fromEntries(looked.map((name) => [name, message.values(name)])) }),
    ...(written === undefined
      ? {}
      : { names: message.fields.map(([name]) => name).filter((name) => looked.includes(name.toLowerCase())) }),
    ...(body === undefined ? {} : { body: message.text }),
    ...(trailers === undefined ? {} : { trailers: message.trailers }),
  }
}

const isFinal = ({ status }: Answer): boolean => status >= 200

/** Asks a host, and gives as much of the result as `expected` looks at. */
const outcome = async (port: number, { request, responds }: HostCase, expected: Result): Promise<Result> => {
  app.script = responds ?? ok()
  const client = await connect(port, addressed(request))
  const [response] = await client.answered(1)
  const before = client.messages.filter((message) => !isFinal(message))
  const { interim } = expected.client
  return {
    app: expected.app === "nothing" || app.requests.length === 0 ? nothing() : shown(app.request, expected.app),
    client: {
      ...shown(response!, expected.client),
      ...(interim === undefined ? {} : { interim: before.map(({ line }) => line) }),
    },
  }
}

const nothing = (): Result["app"] => {
  if (app.text !== "") throw new Error(`the app saw ${JSON.stringify(app.text)}`)
  return "nothing"
}

describe.each(names)("%s", (name) => {
  it.each(cases.map((one) => [one.title, one] as const))("%s", async (_, one) => {
    const differs = { "the Node host": undefined, "the Worker": one.worker, "a mounted router": one.mounted }[name]
    const expected = { ...one.expected, ...differs?.expected }
    expect(await outcome(hosts.get(name)!.port, one, expected)).toEqual(expected)
  })

  it("filters the head of a 101, keeps what is the app's, and passes messages", async () => {
    app.script = (request, connection) => {
      const key = request.value("sec-websocket-key")!
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
      connection.write(
        [
          "HTTP/1.1 101 Switching Protocols",
          "Connection: Upgrade",
          "Upgrade: websocket",
          `Sec-WebSocket-Accept: ${accept}`,
          "Sec-WebSocket-Protocol: chat",
          "Set-Cookie: a=1",
          "Set-Cookie: b=2",
          "Set-Cookie: c=3; Domain=iterate.app",
          "Set-Cookie: platform_session=evil",
          'Clear-Site-Data: "*"',
          "X-Own: 1",
          "X-Iterate-Secret: 1",
          "Fly-Replay: app=other",
          "X-Accel-Redirect: /secret",
          "Alt-Svc: h3",
          "",
          "",
        ].join("\r\n"),
      )
    }
    const client = await connect(hosts.get(name)!.port, addressed(handshake))
    const [head] = await client.answered(1)
    const fields = (...of: readonly string[]) => of.map((each) => head!.values(each))
    expect([head!.status, ...fields("sec-websocket-accept", "sec-websocket-protocol", "set-cookie", "x-own")]).toEqual([
      101,
      [createHash("sha1").update("AAAAAAAAAAAAAAAAAAAAAA==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64")],
      ["chat"],
      ["a=1", "b=2", "c=3"],
      ["1"],
    ])
    const others = head!.fields.map(([each]) => each.toLowerCase())
    expect(others.filter((each) => /^(?:x-iterate|fly-|x-accel|alt-svc|clear-|date|cache-control)/.test(each))).toEqual(
      [],
    )
    // A masked text frame, RFC 6455 §5.7; the app responds with an unmasked one.
    await client.write(octets("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"))
    await app.until(
      () => /\r\n\r\n\x81\x85[^]{9}$/.test(app.text),
      () => `a frame, got ${JSON.stringify(app.text)}`,
    )
    app.connections[0]!.write("\x81\x02ok")
    await client.until(
      () => client.text.endsWith("\x81\x02ok"),
      () => `a frame, got ${JSON.stringify(client.text)}`,
    )
  })
})

describe("the Worker", () => {
  it.each([
    ["zstd;q=0.5, br", ["zstd;q=0.5, br"]],
    [undefined, []],
  ])("gives the app the client's own Accept-Encoding, %s, which Cloudflare's edge replaced", async (sent, expected) => {
    const field = sent === undefined ? "" : `Accept-Encoding: ${sent}\r\n`
    const client = await connect(worker.edgePort, addressed(`GET /a HTTP/1.1\r\n${field}\r\n`))
    await client.answered(1)
    expect(app.request.values("accept-encoding")).toEqual(expected)
  })

  it("asks caches between it and the machine for nothing, and hides that from the app", async () => {
    const proxy = await new App().listen()
    const inFront = await startWorker(proxy.port)
    try {
      proxy.script = ok("ok", "x-iterate-proxy-stamp: unproven")
      const client = await connect(inFront.port, addressed("GET /a HTTP/1.1\r\nCache-Control: max-age=0\r\n\r\n"))
      await client.answered(1)
      const asked = ["cache-control", "pragma"].flatMap((each) => [each, `x-iterate-proxy-fwd-${each}`])
      // Fetch §4.5: what `cache: "no-store"` writes, beside what the client sent.
      expect(asked.map((each) => proxy.request.values(each))).toEqual([["no-cache"], ["max-age=0"], ["no-cache"], [""]])
    } finally {
      await inFront.close()
      await proxy.stop()
    }
  })

  it("works with a compatibility date for which workerd does not know `cache`", async () => {
    const old = await startWorker(machine.port, { compatibilityDate: "2024-11-10" })
    try {
      app.script = ok("ok", "Cache-Control: max-age=60")
      const client = await connect(old.port, addressed("GET /a HTTP/1.1\r\nCache-Control: max-age=0\r\n\r\n"))
      const [response] = await client.answered(1)
      expect([response!.text, response!.values("cache-control")]).toEqual(["ok", ["max-age=60"]])
      expect(app.request.values("cache-control")).toEqual(["max-age=0"])
    } finally {
      await old.close()
    }
  })
})
