import { Server } from "node:net"
import type { Socket } from "node:net"
import { cidrMatcher } from "../../address.ts"
import { accept, checkOptions } from "../../options.ts"
import { repeatedReport } from "../../repeated-report.ts"
import { startDeadline } from "../../start-deadline.ts"
import { isAdmitted } from "../connection/admission.ts"
import { addressOf } from "../connection/client-connection.ts"
import { idleConnections } from "../connection/idle-connections.ts"
import { errorEvent } from "../contract/events.ts"
import { givenLimits } from "../contract/given-limits.ts"
import { defaultTcpLimits } from "../contract/tcp.ts"
import type { TcpDrainOptions, TcpEngine, TcpEngineOptions, TcpLimits } from "../contract/tcp.ts"
import { closeListener } from "../io/close-listener.ts"
import { DeadlineScanner } from "../io/deadlines.ts"
import { descriptorShare } from "../io/descriptors.ts"
import { reset } from "../io/write.ts"
import { proxiedConnections } from "../proxy-protocol/proxied-connections.ts"
import { MAX_HELLO_BYTES } from "./client-hello.ts"
import { TcpConnection } from "./tcp-connection.ts"
import type { ProxiedBy, TcpContext } from "./tcp-connection.ts"

/** How often deadlines are looked at, in ms. */
const SCAN_INTERVAL_MS = 50
/** How long a connection has to say whom it is for when the engine stops, in ms. */
const LAST_HELLO_MS = 1_000

const limitChecks = {
  ...Object.fromEntries(Object.keys(defaultTcpLimits).map((name) => [name, accept.number()])),
  maxHello: accept.integer(1, MAX_HELLO_BYTES),
}

const drainChecks = {
  deadlineMs: accept.number(0),
  listeners: accept.array((value) => (value instanceof Server ? undefined : "a server of node:net")),
}

/**
 * Makes an engine for TCP: it takes accepted connections, reads whom they are for, asks `onConnection` about each, and moves the bytes. Opens
 * nothing.
 *
 * @throws {TypeError} for an option or a limit that is unknown, missing or invalid
 */
export const createTcpEngine = (options: TcpEngineOptions): TcpEngine => {
  checkTcpOptions(options)
  const all = givenLimits(defaultTcpLimits, options.limits)
  const limits: TcpLimits = { ...all, maxConnections: Math.min(all.maxConnections, descriptorShare()) }
  const context: TcpContext = {
    options,
    tcpLimits: limits,
    limits: {
      headersTimeoutMs: limits.helloTimeoutMs,
      maxConnections: limits.maxConnections,
      lingerMs: limits.lingerMs,
    },
    deadlines: new DeadlineScanner(SCAN_INTERVAL_MS),
    open: new Set(),
    draining: false,
    closing: false,
    lastRequestMs: 0,
    onEmpty: [],
  }
  const { open } = context
  const makeRoom = idleConnections(context)
  const readHeader =
    options.proxyProtocol &&
    proxiedConnections(context, cidrMatcher("proxyProtocol.trustedCidrs", options.proxyProtocol.trustedCidrs))
  const reportFull = repeatedReport<Error>((cause, count) => {
    try {
      options.onEvent?.({ ...errorEvent("Overloaded", cause), count })
    } catch {
      // A log that fails must not fail the connection.
    }
  })
  const take =
    (hostname: string | undefined) =>
    (socket: Socket): void => {
      const enter = (proxied?: ProxiedBy): void => {
        const address = proxied?.client.address ?? addressOf(socket)
        // Gone already: its `close` may have been.
        if (socket.destroyed) return
        if (isAdmitted(context, options.admission, socket, address)) {
          new TcpConnection(socket, context, hostname, proxied).begin()
        } else refuse(socket)
      }
      if (context.closing) refuse(socket)
      else if (open.size >= limits.maxConnections && !makeRoom()) {
        reportFull("full", new Error(`connections are refused: ${limits.maxConnections} are open (maxConnections)`))
        refuse(socket)
      } else if (readHeader === undefined) enter()
      else readHeader(socket, (client, header) => enter({ client, header }))
    }

  return {
    byServerName: take(undefined),
    to: (hostname) => take(hostname),
    drain: async (drainOptions) => {
      checkOptions("drain", drainOptions, drainChecks, { required: ["deadlineMs"] })
      await drain(context, drainOptions)
    },
    draining: () => context.draining,
    connections: () => open.size,
    limits,
  }
}

const refuse = (socket: Socket): void => {
  socket.on("error", () => undefined)
  reset(socket)
}

const drain = async (context: TcpContext, { deadlineMs, listeners = [] }: TcpDrainOptions): Promise<void> => {
  const began = performance.now()
  const { open } = context
  context.draining = true
  await Promise.all(listeners.map(closeListener))
  context.closing = true
  context.lastRequestMs = Math.min(deadlineMs, LAST_HELLO_MS)
  for (const connection of open) connection.drain()
  if (open.size === 0) return
  await new Promise<void>((resolve) => {
    const settled = startDeadline(Math.max(0, deadlineMs - (performance.now() - began)), () => {
      for (const connection of open) connection.goAway()
    })
    context.onEmpty.push(() => {
      settled()
      resolve()
    })
  })
}

const checkTcpOptions = (options: TcpEngineOptions): void => {
  const checks = {
    onConnection: accept.function,
    limits: accept.object,
    proxyProtocol: accept.object,
    admission: accept.object,
    onEvent: accept.function,
  }
  checkOptions("createTcpEngine", options, checks, { required: ["onConnection"] })
  const { limits = {}, proxyProtocol, admission } = options
  checkOptions("createTcpEngine", limits, limitChecks, { at: "limits" })
  if (proxyProtocol !== undefined) {
    const fields = { trustedCidrs: accept.array(accept.string) }
    checkOptions("createTcpEngine", proxyProtocol, fields, { required: ["trustedCidrs"], at: "proxyProtocol" })
  }
  if (admission !== undefined) {
    const fields = { admit: accept.function, release: accept.function }
    checkOptions("createTcpEngine", admission, fields, { required: ["admit", "release"], at: "admission" })
  }
}
