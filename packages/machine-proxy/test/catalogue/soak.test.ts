/* oxlint-disable no-unmodified-loop-condition -- helpers assert and wait; they stand beside what they are for */
/**
 * W24 and D06 of the catalogue: after many exchanges everything is as it was. 10 000 tunnels, 100 000
 * requests: about half a minute.
 */
import type { Socket } from "node:net"
import { describe, expect, it } from "vitest"
import { everything, onlyInAll } from "../../../../test/requirements.ts"
import { closedPort } from "../harness.ts"
import { MiB, Sink, connectTo, gone, headTo, heapOf, socketsOf, startCommand, startServer } from "./bulk.ts"
import type { Running } from "./bulk.ts"

const TUNNELS = 10_000
const REQUESTS = 100_000
const DEADLINE_MS = 300_000

/** Less than 1 KiB for each tunnel, 100 octets for each request. */
const GROWTH = 2 * MiB

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

/** What the command holds, once it holds no more than that. */
const settled = async (command: Running, sockets: number): Promise<void> => {
  await expect.poll(() => socketsOf(command.pid), { timeout: 15_000 }).toBeLessThanOrEqual(sockets)
}

/** Runs `one` so many times, sixteen at a time. */
const times = async (count: number, one: (index: number) => Promise<void>): Promise<void> => {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

const ws = (socket: Socket): void => {
  socket.once("data", () => {
    socket.write(SWITCH)
    socket.on("data", (data) => socket.write(data))
  })
}

describe.skipIf(!everything)(`after many exchanges${onlyInAll}`, () => {
  it(
    `W24 D09 ${TUNNELS} tunnels opened and closed leave no descriptor, no warning and no memory`,
    async () => {
      await using command = await startCommand()
      await using app = await startServer(ws)
      const before = socketsOf(command.pid)
      const head = headTo(app.port, "GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket")
      const one = async (index: number): Promise<void> => {
        const sink = new Sink(await connectTo(command.port))
        sink.socket.write(head)
        await sink.until(
          () => sink.head.includes("\r\n\r\n") || sink.closed !== undefined,
          () => "a 101",
          15_000,
        )
        const opened = sink.octets
        sink.socket.write("ping")
        await sink.received(opened + 4, 15_000)
        // By turns in order, broken, and just left.
        if (index % 3 === 0) sink.socket.end()
        else if (index % 3 === 1) sink.socket.resetAndDestroy()
        else sink.socket.destroy()
        await gone(sink.socket)
      }
      await times(TUNNELS / 4, one)
      await settled(command, before)
      const heap = await heapOf(command)
      await times(TUNNELS, one)
      await settled(command, before)
      await expect.poll(() => app.sockets.size, { timeout: 10_000 }).toBe(0)
      expect((await heapOf(command)) - heap).toBeLessThan(GROWTH)
      expect(command.complaints()).toBe("")
      expect(command.child.exitCode).toBeNull()
    },
    DEADLINE_MS,
  )

  it(
    `D06 ${REQUESTS} requests, to an app and to a closed port, leave no descriptor, no timer and no memory`,
    async () => {
      await using command = await startCommand()
      await using app = await startServer((socket) => socket.on("data", () => socket.write(OK)))
      const closed = await closedPort()
      const before = socketsOf(command.pid)
      // Pipelined on one connection, ten at a time, each judged and answered on its own.
      const ten = [...Array.from({ length: 8 }, () => app.port), closed, closed]
        .map((port) => headTo(port, "GET / HTTP/1.1"))
        .join("")
      const run = async (requests: number): Promise<void> => {
        let left = requests / 10
        const worker = async (): Promise<void> => {
          const socket = await connectTo(command.port)
          let [text, answers] = ["", 0]
          let wake = (): void => undefined
          socket.on("data", (data: Buffer) => {
            const parts = (text + data.toString("latin1")).split("HTTP/1.1 ")
            answers += parts.length - 1
            // A status line may be split anywhere; what is kept is shorter than one.
            text = parts.at(-1)!.slice(-8)
            wake()
          })
          let asked = 0
          while (left-- > 0) {
            asked += 10
            socket.write(ten)
            while (answers < asked) {
              expect(socket.destroyed).toBe(false)
              await new Promise<void>((resolve) => (wake = resolve))
            }
          }
          socket.destroy()
          await gone(socket)
        }
        await Promise.all(Array.from({ length: 8 }, worker))
      }
      await run(REQUESTS / 4)
      await settled(command, before)
      const heap = await heapOf(command)
      await run(REQUESTS)
      await settled(command, before)
      expect((await heapOf(command)) - heap).toBeLessThan(GROWTH)
      expect(command.complaints()).toBe("")
    },
    DEADLINE_MS,
  )

  it(
    "D10 thousands of distinct ports asked for leave no descriptor and no memory",
    async () => {
      await using command = await startCommand()
      const before = socketsOf(command.pid)
      const free = await closedPort()
      let statuses = 0
      const ask = async (index: number): Promise<void> => {
        const port = 1_024 + (index % 31_000)
        if (port === free) return
        const sink = new Sink(await connectTo(command.port))
        // A target with a denied or closed port, each port another pool.
        sink.socket.write(headTo(port, "HEAD / HTTP/1.1", "Connection: close"))
        await sink.close(15_000)
        if (sink.head.startsWith("HTTP/1.1 ")) statuses++
        sink.socket.destroy()
        await gone(sink.socket)
      }
      // As many as are remembered, and more.
      await times(3_000, ask)
      await settled(command, before)
      const heap = await heapOf(command)
      await times(60_000, ask)
      expect(statuses).toBeGreaterThan(62_900)
      await settled(command, before)
      // A thousand ports are remembered, 256 pools.
      expect((await heapOf(command)) - heap).toBeLessThan(GROWTH)
      expect(command.complaints()).toBe("")
    },
    DEADLINE_MS,
  )
})
