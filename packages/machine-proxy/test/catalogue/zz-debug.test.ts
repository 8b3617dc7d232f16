import type { Socket } from "node:net"
import { expect, it } from "vitest"
import { KiB, MiB, afterHead, connectTo, gone, headTo, heldBetween, pour, startServer } from "./bulk.ts"
import { useMachine } from "./harness.ts"
const m = useMachine()
const says = (status: string, ...fields: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`
it.each([1,2,3,4,5])("held %d", async () => {
    let accepted: Socket | undefined
    await using server = await startServer((socket) => {
      accepted = socket
      afterHead(socket, () => { socket.write(says("200 OK", "Transfer-Encoding: chunked")); void pour(socket, 256 * MiB, Buffer.from(`10000\r\n${"x".repeat(64 * KiB)}\r\n`)) })
    })
    const client = await connectTo(m.port)
    client.write(headTo(server.port, "GET / HTTP/1.1"))
    await expect.poll(() => accepted).toBeDefined()
    client.once("data", () => client.pause())
    const { held } = await heldBetween(accepted!, client)
    console.log("HELD", held, (process as any)._getActiveHandles().filter((h: any) => h.readableLength || h.writableLength).map((h: any) => `${h.localPort}-${h.remotePort} r${h.readableLength}[${h._readableState.buffer?.map?.((b: any) => b?.length)}] w${h.writableLength} wq${h._handle?.writeQueueSize} hwm${h.readableHighWaterMark}`), "client", client.localPort, "app", accepted!.localPort)
    client.destroy(); await gone(accepted!)
})
