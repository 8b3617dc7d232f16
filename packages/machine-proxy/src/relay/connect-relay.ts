import type { VerificationKey } from "@project-ingress/forward"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { RelayEvent } from "./events.ts"
import { checkRelayOptions, provesMachine } from "./options.ts"
import type { RelayOptions } from "./options.ts"
import { RelayConnection, REPLACED } from "./relay-connection.ts"
import type { ConnectionEnd } from "./relay-connection.ts"

/** A machine's way to its relay. */
export interface Relay {
  /** Whether the relay can send requests now. */
  readonly connected: () => boolean
  /**
   * Stops for good: takes no more requests, waits for those that are open, at most `deadlineMs` (default 0), then ends the connection.
   *
   * @throws {TypeError} (a rejection) for an option that is unknown or invalid
   */
  readonly close: (options?: { readonly deadlineMs?: number }) => Promise<void>
}

/** A connection that lasted so long was a good one: the pauses are short again, in ms. */
const GOOD_MS = 10_000

/**
 * Connects a machine proxy to a relay, and again whenever the connection is lost, until it is closed. Every request of the relay is
 * one connection of the proxy: tickets, stamps and WebSockets are as over TCP. See docs/relay.md.
 *
 * ```ts
 * const relay = connectRelay({ url: "wss://relay.example.com", machine: "mach_123", keys: [key], proxy })
 * ```
 *
 * @throws {TypeError} naming the option, what it accepts and the kind of value it got, never a key
 */
export const connectRelay = (options: RelayOptions): Relay => {
  const url = checkRelayOptions(options)
  const { machine, proxy, onEvent, heartbeatMs = 20_000, minRetryMs = 250, maxRetryMs = 30_000 } = options
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${encodeURIComponent(machine)}`
  const keysNow = (): readonly VerificationKey[] =>
    (typeof options.keys === "function" ? options.keys() : options.keys).filter(provesMachine)

  let connection: RelayConnection | undefined
  let timer: NodeJS.Timeout | undefined
  let state: "connecting" | "connected" | "waiting" | "closed" = "connecting"
  let attempts = 0
  let refusals = 0
  let standBy = false

  const tell = (event: RelayEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must not end the connection.
    }
  }

  const retryIn = (ms: number): number => {
    state = "waiting"
    timer = setTimeout(connect, ms)
    return Math.round(ms)
  }

  /** Half of it is random, so that a thousand machines do not come back at one moment. */
  const nextPause = (): number => {
    const whole = Math.min(maxRetryMs, minRetryMs * 2 ** Math.min(attempts++, 20))
    return whole / 2 + (Math.random() * whole) / 2
  }

  const onEnd = (end: ConnectionEnd, openedAt: number): void => {
    if (state === "closed") return
    connection = undefined
    if (!end.opened) {
      refusals++
      const pause = standBy ? maxRetryMs : nextPause()
      return tell({ type: "refused", status: end.status, reason: end.reason, retryMs: retryIn(pause) })
    }
    if (end.code === REPLACED) {
      standBy = true
      return tell({ type: "replaced", retryMs: retryIn(maxRetryMs) })
    }
    if (performance.now() - openedAt > GOOD_MS) attempts = 0
    tell({ type: "lost", code: end.code, reason: end.reason, retryMs: retryIn(nextPause()) })
  }

  const connect = (): void => {
    state = "connecting"
    const keys = keysNow()
    if (keys.length === 0) {
      const reason = "there is no key that proves which machine this is"
      return tell({ type: "refused", status: undefined, reason, retryMs: retryIn(nextPause()) })
    }
    let openedAt = 0
    connection = new RelayConnection({
      url,
      machine,
      // While keys rotate, the relay may know only one of them.
      key: keys[refusals % keys.length]!,
      proxy,
      heartbeatMs,
      standBy,
      onOpen: () => {
        if (state === "closed") return
        state = "connected"
        standBy = false
        openedAt = performance.now()
        tell({ type: "connected" })
      },
      onEnd: (end) => onEnd(end, openedAt),
    })
  }

  const close: Relay["close"] = async (closing = {}) => {
    checkOptions("close", closing, { deadlineMs: accept.number(0, 3_600_000) })
    if (state === "closed") return
    state = "closed"
    clearTimeout(timer)
    const { deadlineMs = 0 } = closing
    let deadline: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => (deadline = setTimeout(resolve, deadlineMs)))
    await Promise.race([connection?.drain(), late])
    clearTimeout(deadline)
    connection?.close()
    tell({ type: "stopped" })
  }

  connect()
  return { connected: () => state === "connected", close }
}
