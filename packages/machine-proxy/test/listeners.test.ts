import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { endianness, tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import { listenerScan } from "../src/listeners.ts"
import { probedPorts } from "../src/probed-ports.ts"
import { closedPort, startApp } from "./harness.ts"

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

const line = (address: string, port: number, state: string, inode: number) =>
  `   0: ${address}:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 100 0 0 10 0`

/** A `/proc` with these tables, and processes that hold these sockets. */
const procWith = async (tcp: readonly string[], tcp6: readonly string[], processes: Record<string, number[]> = {}) => {
  const proc = await mkdtemp(join(tmpdir(), "proc-"))
  folders.push(proc)
  await mkdir(join(proc, "net"))
  await writeFile(join(proc, "net/tcp"), ["  sl  local_address", ...tcp, ""].join("\n"))
  await writeFile(join(proc, "net/tcp6"), ["  sl  local_address", ...tcp6, ""].join("\n"))
  let pid = 10
  for (const [name, inodes] of Object.entries(processes)) {
    const folder = join(proc, String(pid++))
    await mkdir(join(folder, "fd"), { recursive: true })
    await writeFile(join(folder, "comm"), `${name}\n`)
    for (const inode of inodes) await symlink(`socket:[${inode}]`, join(folder, "fd", String(inode)))
  }
  return proc
}

const isOpen = () => true

describe.runIf(endianness() === "LE")("on Linux", () => {
  it("what listens where the proxy reaches it is listed, by port", async () => {
    const proc = await procWith(
      [
        line("0100007F", 3000, "0A", 1),
        line("00000000", 22, "0A", 2),
        line("0100007F", 3001, "01", 3), // a connection
        line("0200000A", 3002, "0A", 4), // 10.0.0.2 alone
        line("0500007F", 3003, "0A", 5), // 127.0.0.5 alone
      ],
      [
        line("00000000000000000000000001000000", 5173, "0A", 6), // ::1
        line("00000000000000000000000000000000", 8080, "0A", 7), // ::
        line("0000000000000000FFFF00000100007F", 9000, "0A", 8), // ::ffff:127.0.0.1
        line("B80D0120000000000000000001000000", 9001, "0A", 9), // 2001:db8::1 alone
        line("00000000000000000000000001000000", 3000, "0A", 10), // the same port again
      ],
    )
    const listed = async (loopback?: string) =>
      (await listenerScan({ isOpen: (port) => port !== 22, loopback, probed: [], proc })()).map(({ port }) => port)
    expect(await listed()).toEqual([3000, 5173, 8080, 9000])
    expect(await listed("127.0.0.5")).toEqual([3003, 8080])
  })

  it("a process is named as it names itself, without what a terminal acts on", async () => {
    const tables = [line("0100007F", 3000, "0A", 1), line("0100007F", 3001, "0A", 2), line("0100007F", 3002, "0A", 3)]
    const proc = await procWith(tables, [], { "<b>\u001B[31mx\u202E": [1], node: [2] })
    expect(await listenerScan({ isOpen, probed: [], proc })()).toEqual([
      { port: 3000, process: "<b>[31mx" },
      { port: 3001, process: "node" },
      { port: 3002, process: undefined },
    ])
  })

  it("a process of Node 24, which names all of them alike, has the name of its program", async () => {
    const tables = [line("0100007F", 3000, "0A", 1)]
    const named = async (program?: string) => {
      const proc = await procWith(tables, [], { MainThread: [1] })
      if (program !== undefined) await symlink(program, join(proc, "10/exe"))
      return (await listenerScan({ isOpen, probed: [], proc })())[0]!.process
    }
    expect(await named("/usr/local/bin/node")).toBe("node")
    expect(await named("/usr/local/bin/no\u001B[31mde (deleted)")).toBe("no[31mde")
    // That of another user's process cannot be read.
    expect(await named()).toBe("MainThread")
  })

  it("one that listens on every port makes no longer list than 256", async () => {
    const tables = Array.from({ length: 1_000 }, (_, at) => line("0100007F", at + 2_000, "0A", at))
    const found = await listenerScan({ isOpen, probed: [], proc: await procWith(tables, []) })()
    expect([found.length, found[0]!.port, found.at(-1)!.port]).toEqual([256, 2_000, 2_255])
  })
})

describe("elsewhere", () => {
  it("the allowed ports are tried", async () => {
    await using app = await startApp()
    const closed = await closedPort()
    const scan = listenerScan({ isOpen, probed: [closed, app.port], proc: "/nowhere" })
    expect(await scan()).toEqual([{ port: app.port, process: undefined }])
  })

  it("those are the ones allowed by name, else the usual ones of development servers", () => {
    expect(probedPorts({ allow: [4000, [5000, 5002]] }, 3000)).toEqual([4000, 5000, 5001, 5002])
    expect(probedPorts({}, 1234)).toEqual(expect.arrayContaining([1234, 3000, 5173, 8080]))
    expect(probedPorts({ allow: [[1, 65_535]] }, 1234).length).toBeLessThan(200)
    expect(probedPorts({ allow: [] }, 1234)).toContain(1234)
  })
})
