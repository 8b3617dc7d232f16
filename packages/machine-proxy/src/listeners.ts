import { readFile } from "node:fs/promises"
import { connect } from "node:net"
import { endianness } from "node:os"
import { processNames } from "./process-names.ts"

/** A port on which something listens that apps are reached by. */
export interface Listener {
  readonly port: number
  /** The name of the process, as it says itself: untrusted text. `undefined` where it cannot be read. */
  readonly process: string | undefined
}

/** What is looked at. */
export interface ListenerOptions {
  /** Which ports may be listed. */
  readonly isOpen: (port: number) => boolean
  /** The one loopback address of the apps. Default: 127.0.0.1 and ::1. */
  readonly loopback?: string | undefined
  /** The ports that are tried where the system does not list them. */
  readonly probed: readonly number[]
  /** Where Linux says what listens. Default `/proc`. */
  readonly proc?: string
}

/** At most so many are listed, those with the lowest numbers. */
export const MAX_LISTENERS = 256

/**
 * Gives what listens now, by port: on the loopback address of the apps or on every address. On Linux as `/proc/net/tcp` and `tcp6` say,
 * elsewhere by connecting to some ports, without a process.
 */
export const listenerScan = ({ isOpen, loopback, probed, proc = "/proc" }: ListenerOptions) => {
  const namesOf = processNames(proc)
  const reaches = reachable(loopback)
  return async (): Promise<readonly Listener[]> => {
    const tables = await Promise.all([tableOf(`${proc}/net/tcp`), tableOf(`${proc}/net/tcp6`)])
    if (tables.every((table) => table === undefined)) return probe(probed.filter(isOpen), loopback)
    const inodes = new Map<number, string>()
    for (const table of tables) {
      for (const { address, port, inode } of listening(table ?? "")) {
        if (reaches(address) && isOpen(port) && !inodes.has(port)) inodes.set(port, inode)
      }
    }
    const found = [...inodes].toSorted(([a], [b]) => a - b).slice(0, MAX_LISTENERS)
    const names = await namesOf(found.map(([, inode]) => inode))
    return found.map(([port, inode]) => ({ port, process: names.get(inode) }))
  }
}

const tableOf = (path: string): Promise<string | undefined> => readFile(path, "latin1").catch(() => undefined)

/** `sl local_address rem_address st … inode`; 0A is LISTEN (proc(5), include/net/tcp_states.h). */
const LISTENING = /^ *\d+: ([\dA-F]{8}|[\dA-F]{32}):([\dA-F]{4}) [\dA-F]+:[\dA-F]{4} 0A (?:\S+ +){5}(\d+)/gm

const listening = function* (table: string) {
  for (const [, address, port, inode] of table.matchAll(LISTENING)) {
    yield { address: address!, port: Number.parseInt(port!, 16), inode: inode! }
  }
}

/** Whether an app that listens on an address, as the tables write it, is reached by the proxy. */
const reachable = (loopback: string | undefined): ((address: string) => boolean) => {
  const own = loopback === undefined ? ["127.0.0.1", "::1"] : [loopback]
  const known = new Set(["0.0.0.0", "::", ...own].flatMap(tableAddresses))
  return (address) => known.has(address)
}

/** An address as the tables write it: 32 bits at a time, in the machine's byte order. IPv4 also as IPv6 has it (RFC 4291 §2.5.5.2). */
const tableAddresses = (address: string): string[] => {
  if (address.includes(":")) return [tableHex([...Array<number>(15).fill(0), address === "::1" ? 1 : 0])]
  const bytes = address.split(".").map(Number)
  return [tableHex(bytes), tableHex([...Array<number>(10).fill(0), 255, 255, ...bytes])]
}

const tableHex = (bytes: readonly number[]): string => {
  let text = ""
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4)
    if (endianness() === "LE") word.reverse()
    text += Buffer.from(word).toString("hex").toUpperCase()
  }
  return text
}

const PROBES_AT_ONCE = 64
const PROBE_MS = 250

const probe = async (ports: readonly number[], loopback: string | undefined): Promise<readonly Listener[]> => {
  const left = [...ports].toSorted((a, b) => a - b)
  const found: number[] = []
  const hosts = loopback === undefined ? ["127.0.0.1", "::1"] : [loopback]
  const work = async (): Promise<void> => {
    for (let port = left.shift(); port !== undefined; port = left.shift()) {
      const to = port
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      const accepted = await Promise.all(hosts.map((host) => accepts(host, to)))
      if (accepted.includes(true)) found.push(port)
    }
  }
  await Promise.all(Array.from({ length: PROBES_AT_ONCE }, work))
  return found
    .toSorted((a, b) => a - b)
    .slice(0, MAX_LISTENERS)
    .map((port) => ({ port, process: undefined }))
}

const accepts = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (accepted: boolean) => {
      socket.destroy()
      resolve(accepted)
    }
    socket.setTimeout(PROBE_MS, () => end(false))
    socket.once("connect", () => end(true)).once("error", () => end(false))
  })
