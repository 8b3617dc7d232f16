/**
 * Many connections, tunnels and flows of many tenants at once, some of which break off: no byte of one tenant reaches another. Each app
 * names itself and echoes; each client sends what is nobody else's, and must get its own tenant's name and its own bytes in order.
 */
import { createServer as createTlsServer } from "node:tls"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { openTunnel } from "../../packages/forward/src/sockets.ts"
import { expect, it, onTestFinished } from "vitest"
import { serveNode } from "../../packages/router/src/hosts/node.ts"
import { serveUdp } from "../../packages/router/src/hosts/udp.ts"
import { certificate, dialTls, listening, startApp, startHost } from "../../packages/router/test/tcp/harness.ts"
import { tokenFor } from "../../scripts/soak/token.ts"
import { everything } from "../requirements.ts"
import { bindUdp, hostnameOf, nameOf, seeded, strayedIn, tenantRecord } from "./socket-tenants.ts"
import type { Reached } from "./socket-tenants.ts"

const TENANTS = 6
const CONNECTIONS = everything ? 240 : 120
const AT_ONCE = 24
const indexes = Array.from({ length: TENANTS }, (_, index) => index)

/** Asks an app to reset the connection. */
const RESET = "\nreset"

/** What came to an app that is not its tenant's. */
const strayed: string[] = []

/** Names its tenant, and echoes. */
const app =
  (index: number) =>
  (socket: Socket): void => {
    let seen = ""
    socket.on("error", () => undefined)
    socket.write(`${nameOf(index)}\n`)
    socket.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1")
      // A token may come in two pieces.
      seen = (seen + text).slice(-(text.length + 32))
      strayed.push(...strayedIn(index, seen))
      if (text.endsWith(RESET)) socket.resetAndDestroy()
      else socket.write(bytes)
    })
    socket.on("end", () => socket.end())
  }

const startTlsApp = (index: number): Promise<number> => {
  const server = createTlsServer({ ...certificate, allowHalfOpen: true }, app(index))
  server.on("tlsClientError", () => undefined)
  onTestFinished(() => void server.close())
  return listening(server)
}

/** How a conversation ends: in order, or broken off by one side at any moment. */
const endings = ["in order", "in order", "client resets", "app resets"] as const

/** Talks over one connection; what came must be a beginning of what an app of that tenant says, and all of it if it ended in order. */
const converse = async (stream: Duplex, index: number, n: number): Promise<string | undefined> => {
  const random = seeded(n)
  const token = tokenFor(index, n)
  const ending = endings[random(endings.length)]!
  let expected = `${nameOf(index)}\n`
  let got = ""
  const state = { over: false }
  let wake = (): void => undefined
  stream.on("data", (bytes: Buffer) => {
    got += bytes.toString("latin1")
    wake()
  })
  for (const event of ["error", "end", "close"] as const) {
    stream.on(event, () => {
      state.over = true
      wake()
    })
  }
  const until = async (condition: () => boolean): Promise<void> => {
    while (!state.over && !condition()) await new Promise<void>((resolve) => (wake = resolve))
  }
  for (let left = 1 + random(6); left > 0 && !state.over; left--) {
    const text = `${token} `.repeat(1 + random(random(8) === 0 ? 3_000 : 40))
    expected += text
    stream.write(text, "latin1")
    if (random(2) === 0) await until(() => got.length >= expected.length)
  }
  if (ending === "app resets") stream.write(RESET)
  if (ending === "in order") {
    await until(() => got.length >= expected.length)
    stream.end()
  }
  if (ending === "client resets") stream.destroy()
  else await until(() => false)
  stream.destroy()
  const right = ending === "in order" ? got === expected : (expected + RESET).startsWith(got)
  return right
    ? undefined
    : `${nameOf(index)} ${token} (${ending}): ${strayedIn(index, got).join(" ") || got.slice(0, 200)}`
}

/** Many conversations, of tenants in no order, a number of them at once. Gives those that went wrong. */
const conversations = async (open: (index: number) => Duplex | Promise<Duplex>): Promise<readonly string[]> => {
  strayed.length = 0
  const wrong: string[] = []
  const random = seeded(7)
  let next = 0
  const worker = async (): Promise<void> => {
    for (let n = next++; n < CONNECTIONS; n = next++) {
      const index = random(TENANTS)
      const problem = await converse(await open(index), index, n)
      if (problem !== undefined) wrong.push(problem)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return [...wrong, ...strayed]
}

const recordsOf = async (
  start: (index: number) => Promise<number>,
  protocol: "tcp" | "udp",
  reached: (index: number) => Reached,
): Promise<Readonly<Record<string, unknown>>> =>
  Object.fromEntries(
    await Promise.all(
      indexes.map(async (index) => [
        `p:${nameOf(index)}`,
        await tenantRecord(index, await start(index), { protocol, reached: reached(index) }),
      ]),
    ),
  )

const eitherWay = (index: number): Reached => (index % 2 === 0 ? "directly" : "by a tunnel")

it("TCP by the name in a ClientHello gives each client its own tenant's bytes", async () => {
  const { host, events } = startHost(await recordsOf(startTlsApp, "tcp", eitherWay))
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  expect(await conversations((index) => dialTls(port, hostnameOf(index)))).toEqual([])
  await expect.poll(() => host.connections()).toBe(0)
  expect(events).toHaveLength(CONNECTIONS)
})

it("tunnels give each client its own tenant's bytes", async () => {
  const records = await recordsOf(
    (index) => startApp(app(index)),
    "tcp",
    () => "by a tunnel",
  )
  const { router } = startHost(records)
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1" })
  onTestFinished(() => close({ deadlineMs: 0 }))
  const open = (index: number) => openTunnel({ url: `http://${hostnameOf(index)}:${port}`, address: "127.0.0.1" })
  expect(await conversations(open)).toEqual([])
})

it("UDP gives each client its own tenant's datagrams, though one address and port talks to all of them", async () => {
  strayed.length = 0
  const startEcho = async (index: number): Promise<number> => {
    const socket = await bindUdp()
    socket.on("message", (bytes, { port, address }) => {
      strayed.push(...strayedIn(index, bytes.toString()))
      socket.send(`${nameOf(index)} ${bytes.toString()}`, port, address)
    })
    return socket.address().port
  }
  const { router } = startHost(await recordsOf(startEcho, "udp", eitherWay))
  const host = serveUdp(router)
  onTestFinished(() => host.close())
  const ports = await Promise.all(
    indexes.map(async (index) => {
      const { port, close } = await host.listen({ hostname: "127.0.0.1", to: hostnameOf(index) })
      onTestFinished(close)
      return port
    }),
  )
  const wrong: string[] = []
  const flows = new Set<string>()
  let asked = 0
  const client = async (number: number): Promise<void> => {
    const random = seeded(number)
    const socket = await bindUdp()
    const waiting = new Map<string, () => void>()
    socket.on("message", (bytes, from) => {
      const text = bytes.toString()
      // What came is one of those that are waited for, from the port that it was sent to.
      const done = waiting.get(`${from.port} ${text}`)
      if (done === undefined) wrong.push(`client ${number} got ${text} from ${from.port}`)
      else done()
    })
    for (let round = 0; round < CONNECTIONS / AT_ONCE; round++) {
      const some = Array.from({ length: 1 + random(6) }, () => {
        const index = random(TENANTS)
        flows.add(`${number} ${index}`)
        // Long enough for what the app adds: an app may send three times what it got, until its client answers.
        const text = `${tokenFor(index, number * 1_000_000 + asked++)} ${"d".repeat(20 + random(1_000))}`
        return new Promise<void>((resolve) => {
          const key = `${ports[index]} ${nameOf(index)} ${text}`
          waiting.set(key, () => {
            waiting.delete(key)
            resolve()
          })
          socket.send(text, ports[index], "127.0.0.1")
        })
      })
      await Promise.all(some)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => client(number)))
  expect([...wrong, ...strayed]).toEqual([])
  expect(host.flows()).toBe(flows.size)
  expect(asked).toBeGreaterThan(CONNECTIONS)
})
