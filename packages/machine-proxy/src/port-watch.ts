import { randomBytes } from "node:crypto"
import { monotonicNow } from "@project-ingress/forward/internal"
import type { Listener } from "./listeners.ts"

/** What listens, and a name for exactly this. */
export interface PortList {
  readonly ports: readonly Listener[]
  /** Another one for each list that differs from the one before. */
  readonly version: string
}

/** How a list is asked for. */
export interface PortQuery {
  /** How long to wait for another list, in ms; 0: not at all. */
  readonly waitMs: number
  /** The version that is known. Default: the one at the beginning. */
  readonly since: string | undefined
  /** Calls the listener when nobody waits any more. */
  readonly onLeft: (listener: () => void) => void
}

/** Looks at what listens. */
export interface PortWatch {
  /** At once, or when the list is another one than `since`, or when the time is over. */
  readonly list: (query: PortQuery) => Promise<PortList>
  /** Ends every wait, with what is known. */
  readonly end: () => void
}

/** Between the beginnings of two scans, in ms, however many ask. */
const SCAN_EVERY_MS = 1_000
/** So many wait at a time; whoever comes then gets the list at once. */
const MAX_WAITING = 64

interface Waiting {
  readonly since: string
  readonly resolve: (list: PortList) => void
}

/** Shares one scan a second among all who ask, and scans only while somebody does. */
export const portWatch = (scan: () => Promise<readonly Listener[]>): PortWatch => {
  const boot = randomBytes(6).toString("base64url")
  let changes = 0
  let last: { readonly list: PortList; readonly text: string } | undefined
  let scannedAt = -Infinity
  let running: Promise<PortList> | undefined
  let timer: NodeJS.Timeout | undefined
  let ended = false
  const waiting = new Set<Waiting>()

  const run = async (): Promise<PortList> => {
    scannedAt = monotonicNow()
    const ports = await scan()
    const text = JSON.stringify(ports)
    if (last?.text !== text) last = { list: { ports, version: `${boot}.${++changes}` }, text }
    for (const each of waiting) if (each.since !== last.list.version) each.resolve(last.list)
    return last.list
  }

  const current = (): Promise<PortList> => {
    if (running !== undefined) return running
    if (last !== undefined && monotonicNow() - scannedAt < SCAN_EVERY_MS) return Promise.resolve(last.list)
    running = run().finally(() => (running = undefined))
    return running
  }

  const goOn = (): void => {
    if (timer !== undefined || waiting.size === 0) return
    const dueMs = Math.max(1, Math.ceil(scannedAt + SCAN_EVERY_MS - monotonicNow()))
    timer = setTimeout(() => {
      timer = undefined
      if (waiting.size === 0) return
      current().then(goOn, goOn)
    }, dueMs)
    timer.unref()
  }

  const changed = (since: string, { waitMs, onLeft }: PortQuery): Promise<PortList> =>
    new Promise((resolve) => {
      const over = setTimeout(() => each.resolve(last!.list), waitMs)
      const each: Waiting = {
        since,
        resolve: (list) => {
          clearTimeout(over)
          waiting.delete(each)
          resolve(list)
        },
      }
      waiting.add(each)
      onLeft(() => each.resolve(last!.list))
      goOn()
    })

  return {
    list: async (query) => {
      const first = await current()
      const { waitMs, since = first.version } = query
      if (first.version !== since || waitMs === 0 || waiting.size >= MAX_WAITING || ended) return first
      return changed(since, query)
    },
    end: () => {
      ended = true
      for (const each of waiting) each.resolve(last!.list)
    },
  }
}
