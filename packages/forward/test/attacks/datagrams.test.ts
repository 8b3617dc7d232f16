// What somebody can do with UDP who writes datagrams as fast as he likes, from as many ports as he likes.
import { createSocket } from "node:dgram"
import type { Socket } from "node:dgram"
import { once } from "node:events"
import { Buffer } from "node:buffer"
import { createDatagramEngine, udpChannel } from "@project-ingress/forward/datagrams"
import type { DatagramEvent, DatagramLimits, OpenChannel } from "@project-ingress/forward/datagrams"
import fc from "fast-check"
import { afterEach, expect, it } from "vitest"

const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

const bound = async (address = "127.0.0.1"): Promise<{ readonly socket: Socket; readonly port: number }> => {
  const socket = createSocket("udp4").bind(0, address)
  open.push(socket)
  await once(socket, "listening")
  return { socket, port: socket.address().port }
}

const client = async (to: number, address?: string) => {
  const { socket, port } = await bound(address)
  const heard: number[] = []
  socket.on("message", (bytes) => heard.push(bytes.length))
  return { port, heard, send: (bytes: Uint8Array | string) => socket.send(bytes, to, "127.0.0.1") }
}

const setup = async (limits: Partial<DatagramLimits>, answer: (bytes: Buffer) => readonly Uint8Array[]) => {
  const app = await bound()
  app.socket.on("message", (bytes, from) => {
    for (const each of answer(bytes)) app.socket.send(each, from.port, from.address)
  })
  const events: DatagramEvent[] = []
  const to: OpenChannel = udpChannel({ host: "127.0.0.1", port: app.port })
  const engine = createDatagramEngine({ onFlow: () => to, limits, onEvent: (event) => events.push(event) })
  const listener = await bound()
  engine.socket(listener.socket)
  return { engine, events, port: listener.port }
}

it("a flood of flows that are never confirmed takes no place of one that is, and is reported once a second", async () => {
  const { engine, events, port } = await setup({ maxFlows: 40, maxUnconfirmedFlows: 20 }, (bytes) => [bytes])
  const anna = await client(port, "127.0.0.2")
  anna.send("1")
  await expect.poll(() => anna.heard.length).toBe(1)
  anna.send("2")
  await expect.poll(() => anna.heard.length).toBe(2)
  const flood = await Promise.all(Array.from({ length: 100 }, () => client(port, "127.0.0.3")))
  for (const each of flood) each.send("x")
  await expect.poll(() => engine.flows()).toBe(21)
  anna.send("3")
  await expect.poll(() => anna.heard.length).toBe(3)
  await expect.poll(() => events.some(({ type }) => type === "flows_limited")).toBe(true)
  expect(events.filter(({ type }) => type === "flows_limited").length).toBeLessThan(5)
  expect(engine.flows()).toBe(21)
})

it("one client's flows take the places of its own only, and of the quietest first", async () => {
  const { engine, events, port } = await setup({ maxFlowsPerClient: 3 }, (bytes) => [bytes])
  const ben = await client(port, "127.0.0.2")
  ben.send("b")
  await expect.poll(() => ben.heard.length).toBe(1)
  const many = await Promise.all(Array.from({ length: 6 }, () => client(port, "127.0.0.3")))
  for (const each of many) {
    each.send("x")
    await expect.poll(() => each.heard.length).toBe(1)
  }
  expect(engine.flows()).toBe(4)
  const replaced = events.filter((event) => event.type === "flow" && event.outcome === "replaced")
  expect(replaced.map((event) => event.type === "flow" && event.remotePort)).toEqual(
    many.slice(0, 3).map(({ port: each }) => each),
  )
  ben.send("b")
  await expect.poll(() => ben.heard.length).toBe(2)
})

it("a client whose address may be false is sent little, and one that answers is sent what it asks for", async () => {
  const answers = Array.from({ length: 40 }, () => Buffer.alloc(1_000))
  const { port, engine, events } = await setup({ maxUnconfirmedUnasked: 5_000 }, (bytes) =>
    bytes.toString() === "more" ? answers : [],
  )
  const spoofed = await client(port)
  spoofed.send("more")
  await expect.poll(() => spoofed.heard.length).toBe(5)
  await engine.drain({ deadlineMs: 200 })
  expect(spoofed.heard.length).toBe(5)
  expect(events.find(({ type }) => type === "flow")).toMatchObject({ datagramsOut: 5, dropped: 35 })
})

it("after its answer a client is sent more", async () => {
  const answers = Array.from({ length: 40 }, () => Buffer.alloc(1_000))
  const { port } = await setup({ maxUnconfirmedUnasked: 5_000 }, (bytes) =>
    bytes.toString() === "more" ? answers : [bytes],
  )
  const real = await client(port)
  real.send("hello")
  await expect.poll(() => real.heard.length).toBe(1)
  real.send("more")
  await expect.poll(() => real.heard.length).toBe(41)
})

it("an app's datagrams reach nobody but the client of their flow, whatever is sent and by whom", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ client: fc.nat(4), bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) }), {
        minLength: 1,
        maxLength: 30,
      }),
      async (sent) => {
        const { port, engine } = await setup({}, (bytes) => [bytes])
        const clients = await Promise.all(Array.from({ length: 5 }, () => client(port)))
        for (const each of sent) {
          const { heard, send } = clients[each.client]!
          const before = heard.length
          send(each.bytes)
          await expect.poll(() => heard.length, { interval: 1 }).toBe(before + 1)
          expect(heard.at(-1)).toBe(each.bytes.length)
        }
        expect(clients.reduce((sum, { heard }) => sum + heard.length, 0)).toBe(sent.length)
        expect(engine.flows()).toBe(new Set(sent.map((each) => each.client)).size)
        await engine.drain({ deadlineMs: 0 })
        for (const socket of open.splice(0)) socket.close()
      },
    ),
    { numRuns: 20 },
  )
})
