/** Tenants whose ports speak TCP or UDP, before one router. */
import { createServer } from "node:net"
import { createSocket } from "node:dgram"
import type { Socket as DatagramSocket } from "node:dgram"
import { once } from "node:events"
import { machineKey } from "../../packages/forward/src/forward.ts"
import { onTestFinished } from "vitest"
import { createMachineProxy } from "../../packages/machine-proxy/src/machine-proxy.ts"
import { keys, listening, tcpRecord } from "../../packages/router/test/tcp/harness.ts"
import { tenantOf, tokensIn } from "../../scripts/soak/token.ts"

/** How a router reaches an app: at its own address, or by a tunnel of its machine proxy. */
export type Reached = "directly" | "by a tunnel"

/** The slug of the tenant with an index, and its hostname. */
export const nameOf = (index: number): string => `tenant-${index}`
export const hostnameOf = (index: number): string => `${nameOf(index)}.iterate.app`

/** A machine proxy of a machine. Returns its port. */
export const startMachineProxy = async (machine: string): Promise<number> => {
  const proxy = createMachineProxy({ machine, keys: [await machineKey(keys.signing, machine)] })
  const server = createServer({ noDelay: true, allowHalfOpen: true }, proxy.connection)
  onTestFinished(() => {
    server.close()
    return proxy.drain({ deadlineMs: 0 })
  })
  return listening(server)
}

/** The record of a tenant whose app has a port and speaks a protocol. */
export const tenantRecord = async (
  index: number,
  port: number,
  { protocol, reached }: { readonly protocol: "http" | "tcp" | "udp"; readonly reached: Reached },
): Promise<Record<string, unknown>> => {
  const id = `mach_${index}`
  if (reached === "directly") return tcpRecord(id, port, { protocol })
  const metadata = { port: await startMachineProxy(id) }
  return { machine: { id, type: "local", externalId: id, metadata }, port, protocol }
}

/** A bound socket, closed with the test. */
export const bindUdp = async (address = "127.0.0.1"): Promise<DatagramSocket> => {
  const socket = createSocket("udp4")
  socket.on("error", () => undefined)
  onTestFinished(() => void socket.close())
  socket.bind(0, address)
  await once(socket, "listening")
  return socket
}

/** The tokens in a text that are of another tenant. */
export const strayedIn = (index: number, text: string): readonly string[] =>
  tokensIn(text).filter((token) => tenantOf(token) !== index)

/** The same numbers at each run, from 0 to below `below`. */
export const seeded = (seed: number): ((below: number) => number) => {
  let state = seed
  return (below) => {
    // The constants of Numerical Recipes.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
