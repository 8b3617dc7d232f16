/** WebSockets that are open and silent: what each costs the router and the machine proxies. */
import { connect } from "node:net"
import type { Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { SoakChain } from "./chain.ts"
import type { HeapReport } from "./process.ts"
import { tokenFor } from "./token.ts"
import { DOMAIN } from "./tenant.ts"
import type { Tenant } from "./tenant.ts"

/** What one of them costs a process. */
export interface IdleCost {
  readonly process: string
  /** Resident memory of the process, in KiB each. */
  readonly residentKiB: number
  /** What of it is reachable in the heap, in KiB each. */
  readonly heapKiB: number
}

/** The outcome of {@link holdWebSockets}. */
export interface IdleReport {
  readonly open: number
  readonly costs: readonly IdleCost[]
  /** Those that echoed anything but what was sent to them. */
  readonly crossed: number
}

const AT_ONCE = 64
/** For what opening and closing leave behind to be collected, in ms. */
const SETTLE_MS = 3_000

/** Opens `count` of them over all tenants, measures, and then has each echo its own token. */
export const holdWebSockets = async (
  chain: SoakChain,
  tenants: readonly Tenant[],
  count: number,
): Promise<IdleReport> => {
  const measured = chain.processes.filter(({ name }) => name === "router" || name === "machines")
  const heaps = async (): Promise<number[]> => {
    const all: number[] = []
    for (const process of measured) all.push((await process.ask<HeapReport>("heap")).heap / 1_024)
    return all
  }
  const residents = () => measured.map((process) => process.resident().now)

  // Code is loaded and compiled before the first reading.
  await openAll(chain, tenants, 200, (socket) => socket.destroy())
  await sleep(SETTLE_MS)
  const heapBefore = await heaps()
  const before = residents()
  const sockets: Socket[] = []
  await openAll(chain, tenants, count, (socket) => sockets.push(socket))
  await sleep(SETTLE_MS)
  const heapAfter = await heaps()
  const after = residents()
  const costs = measured.map(({ name }, at) => ({
    process: name,
    residentKiB: (after[at]! - before[at]!) / sockets.length,
    heapKiB: (heapAfter[at]! - heapBefore[at]!) / sockets.length,
  }))
  const echoes = await Promise.all(sockets.map((socket, sequence) => echo(socket, tokenFor(0, sequence))))
  for (const socket of sockets) socket.destroy()
  return { open: sockets.length, costs, crossed: echoes.filter((same) => !same).length }
}

const openAll = async (
  chain: SoakChain,
  tenants: readonly Tenant[],
  count: number,
  each: (socket: Socket) => void,
): Promise<void> => {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) each(await open(chain, tenants[next++ % tenants.length]!))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** A handshake with the fields that a browser sends. */
const open = ({ routerPort, appPort }: SoakChain, { name }: Tenant): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port: routerPort, host: "127.0.0.1", noDelay: true })
    socket.once("error", reject)
    socket.once("close", () => reject(new Error("the router closed a connection before its 101")))
    let text = ""
    const onData = (data: Buffer): void => {
      text += data.toString("latin1")
      if (!text.includes("\r\n\r\n")) return
      if (!text.startsWith("HTTP/1.1 101 ")) {
        reject(new Error(`no WebSocket: ${text.slice(0, 200)}`))
        return
      }
      socket.off("data", onData)
      resolve(socket)
    }
    socket.on("data", onData)
    socket.write(
      [
        "GET /idle HTTP/1.1",
        `Host: ${appPort}__${name}.${DOMAIN}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9",
        `Origin: https://${appPort}__${name}.${DOMAIN}`,
        "Cookie: session=0123456789abcdef0123456789abcdef",
        "",
        "",
      ].join("\r\n"),
    )
  })

const echo = (socket: Socket, token: string): Promise<boolean> =>
  new Promise((resolve) => {
    let text = ""
    socket.once("close", () => resolve(false))
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1")
      if (text.length >= token.length) resolve(text === token)
    })
    socket.write(token)
  })
