import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { freePort } from "../../../test/free-port.ts"
import { startMachine } from "../src/testing.ts"
import type { ProcessMachine, ProcessMachineOptions } from "../src/testing.ts"
import { run, runners } from "./runtimes.ts"

const machines: ProcessMachine[] = []
afterEach(() => Promise.all(machines.splice(0).map((machine) => machine.close())))

/** A machine, and the number of connections to each of its starts. */
const counted = async (options: Partial<ProcessMachineOptions> = {}) => {
  const servers: number[] = []
  const machine = await startMachine({
    id: "mach_1",
    serve: () => {
      const at = servers.push(0) - 1
      return (socket: Socket) => {
        servers[at]!++
        socket.on("error", () => {}).resume()
      }
    },
    ...options,
  })
  machines.push(machine)
  return { machine, servers }
}
const isOpen = async (port: number): Promise<boolean> => {
  const socket = connect(port, "127.0.0.1")
  try {
    await once(socket, "connect")
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

describe("a machine of this process", () => {
  it("listens at its port, and at another one with another boot id after each start", async () => {
    const { machine } = await counted()
    const [port, bootId] = [machine.port, machine.bootId]
    expect(await isOpen(port)).toBe(true)
    await machine.start()
    expect([await isOpen(machine.port), await isOpen(port)]).toEqual([true, machine.port === port])
    expect(machine.bootId).not.toBe(bootId)
  })

  it("is started one start after the other when several are wanted at once, and one listener is left", async () => {
    const { machine, servers } = await counted()
    const ports = await Promise.all([freePort(), freePort(), freePort()])
    await Promise.all([
      ...ports.slice(0, 2).map((port) => machine.start(port)),
      machine.stop(),
      machine.start(ports[2]),
    ])
    expect(servers).toHaveLength(4)
    expect(machine.port).toBe(ports[2])
    expect(await Promise.all(ports.map(isOpen))).toEqual([false, false, true])
    await machine.close()
    expect(await isOpen(machine.port)).toBe(false)
  })

  it("takes the port that it is given, and rejects a port in use without losing its turn", async () => {
    const { machine } = await counted()
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const { port } = taken.address() as AddressInfo
    await expect(machine.start(port)).rejects.toMatchObject({ code: "EADDRINUSE" })
    taken.close()
    await once(taken, "close")
    await machine.start(port)
    expect([machine.port, await isOpen(port)]).toEqual([port, true])
  })

  it("disconnects its clients when it stops", async () => {
    const { machine } = await counted({ serve: () => (socket: Socket) => void socket.on("error", () => {}).resume() })
    const client = connect(machine.port, "127.0.0.1")
    await once(client, "connect")
    const closed = once(client, "close")
    await machine.stop()
    await closed
    expect(await isOpen(machine.port)).toBe(false)
  })

  it.each([
    [undefined, "options must be an object, got undefined"],
    [{ id: "m" }, "serve must be a function, got undefined"],
    [{ id: 1, serve: () => {} }, "id must be a non-empty string, got 1"],
    [{ id: "m", server: () => {} }, "server is not an option (did you mean serve?)"],
    [{ id: "m", serve: () => {}, appPort: Number.NaN }, "appPort must be an integer from 0 to 65535, got NaN"],
    [{ id: "m", serve: () => {}, loopback: "" }, "loopback must be a non-empty string, got an empty string"],
  ])("is not made of %j", async (options, message) => {
    await expect(startMachine(options as ProcessMachineOptions)).rejects.toThrow(`startMachine: ${message}`)
  })

  it.each(["1", "0"])("lets a process of node:test end, closed (%s) or not", { timeout: 120_000 }, async (CLOSE) => {
    const { stdout } = await run(runners.node, "process-machine-main.ts", { env: { CLOSE } })
    expect(stdout).toContain("# pass 1")
  })
})
