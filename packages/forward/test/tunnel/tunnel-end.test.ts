import { describe, expect, it } from "vitest"
import { noKey, randomKey } from "../../src/websocket/frame-writer.ts"
import { TunnelEnd } from "../../src/tunnel/tunnel-end.ts"
import { bytesOf } from "../websocket/frames.ts"

/** One end, and all that it says and writes. `takes`: whether its wire takes more at once. */
const endOf = (masks: boolean) => {
  const said: string[] = []
  const written: Buffer[] = []
  const wire = { takes: true }
  const end: TunnelEnd = new TunnelEnd("tcp", masks, masks ? randomKey : noKey, {
    onData: (bytes) => said.push(Buffer.from(bytes).toString()),
    onEnd: () => said.push("END"),
    onClose: ({ code, local }) => said.push(`CLOSE ${code}${local ? " here" : ""}`),
    write: (pieces) => {
      written.push(Buffer.concat(pieces))
      return wire.takes
    },
  })
  return { end, said, written, wire }
}

/** Two ends whose wires are connected; `run` carries what is written until nothing is. */
const pair = () => {
  const client = endOf(true)
  const server = endOf(false)
  const run = (): void => {
    while (client.written.length + server.written.length > 0) {
      for (const bytes of client.written.splice(0)) server.end.push(bytes)
      for (const bytes of server.written.splice(0)) client.end.push(bytes)
    }
  }
  return { client, server, run }
}

const ping = (payload: string) => bytesOf({ first: 0x89, payload })

describe("one end of a tunnel", () => {
  it("is over when both sides have ended, whoever was first", () => {
    const { client, server, run } = pair()
    client.end.send(Buffer.from("q"))
    client.end.end()
    run()
    expect(server.said).toEqual(["q", "END"])
    server.end.send(Buffer.from("r"))
    server.end.end()
    run()
    expect(client.said).toEqual(["r", "END", "CLOSE 1000 here"])
    expect(server.said).toEqual(["q", "END", "CLOSE 1000 here"])
    expect([client.end.bothEnded, server.end.bothEnded]).toEqual([true, true])
  })

  it("tells the other side how it ended", () => {
    const { client, server, run } = pair()
    server.end.close(1011)
    run()
    expect(client.said).toEqual(["CLOSE 1011"])
    client.end.send(Buffer.from("late"))
    client.end.end()
    run()
    expect(server.said).toEqual(["CLOSE 1011 here"])
  })

  it.each([
    [
      "bytes after the end",
      [
        { first: 0x81, payload: "end" },
        { first: 0x82, payload: "a" },
      ],
    ],
    [
      "a second end",
      [
        { first: 0x81, payload: "end" },
        { first: 0x81, payload: "end" },
      ],
    ],
  ])("fails a tunnel for %s", (_name, frames) => {
    const { end, said } = endOf(false)
    for (const one of frames) end.push(bytesOf(one))
    expect(said).toEqual(["END", "CLOSE 1002 here"])
  })

  it("answers each ping, but only the last of those that come while its wire takes nothing", () => {
    const { end, written, wire } = endOf(false)
    end.push(ping("a"))
    wire.takes = false
    for (let nth = 0; nth < 1_000; nth++) end.push(ping(`b${nth}`))
    expect(written.map((bytes) => bytes.subarray(2).toString())).toEqual(["a", "b0"])
    wire.takes = true
    end.drained()
    expect(written.at(-1)!.subarray(2).toString()).toBe("b999")
    expect(written).toHaveLength(3)
  })

  it("says that the wire was lost once, and nothing of a wire that closes after the end", () => {
    const first = endOf(true)
    first.end.lost()
    first.end.lost()
    expect(first.said).toEqual(["CLOSE 1006"])
    const second = endOf(true)
    second.end.close(1000)
    second.end.lost()
    expect(second.said).toEqual(["CLOSE 1000 here"])
  })
})
