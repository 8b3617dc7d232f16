import type { Socket } from "node:dgram"
import { canonicalAddress, clientNetwork } from "../../address.ts"
import type { DatagramEngineOptions, DatagramEvent, DatagramLimits } from "../contract/datagrams.ts"
import { errorEvent } from "../contract/events.ts"
import { DeadlineScanner } from "../io/deadlines.ts"
import { Flow } from "./flow.ts"

/** How often deadlines are looked at, in ms. */
const SCAN_INTERVAL_MS = 250

/** The flows of one client, the oldest first. */
interface ClientFlows {
  readonly all: Set<Flow>
  readonly unconfirmed: Set<Flow>
}

/**
 * The flows of one engine. A flow whose client has answered its app gives way to nobody: whoever sends in the names of many others fills what is
 * left, and takes it from itself.
 */
export class FlowTable {
  readonly limits: DatagramLimits
  readonly deadlines = new DeadlineScanner(SCAN_INTERVAL_MS)
  readonly #options: DatagramEngineOptions
  readonly #bySocket = new Map<Socket, Map<string, Flow>>()
  readonly #byClient = new Map<string, ClientFlows>()
  readonly #unconfirmed = new Set<Flow>()
  readonly #sockets = new Map<Flow, Socket>()
  #deciding = 0
  /** The same of each hostname that has some. */
  readonly #decidingFor = new Map<string, number>()

  constructor(options: DatagramEngineOptions, limits: DatagramLimits) {
    this.#options = options
    this.limits = limits
  }

  get size(): number {
    return this.#sockets.size
  }

  onDatagram(
    socket: Socket,
    hostname: string,
    bytes: Buffer,
    from: { readonly address: string; readonly port: number },
  ): void {
    let flows = this.#bySocket.get(socket)
    if (flows === undefined) this.#bySocket.set(socket, (flows = new Map()))
    const key = keyOf(from.address, from.port)
    const known = flows.get(key)
    if (known !== undefined) {
      known.onDatagram(bytes)
      return
    }
    // A port of 0 can be sent nothing.
    if (from.port === 0 || !this.#mayDecide(hostname)) return
    const client = networkOf(from.address)
    if (!this.#makeRoom(client)) return
    const flow = new Flow(this, socket, hostname, from)
    flows.set(key, flow)
    this.#sockets.set(flow, socket)
    this.#unconfirmed.add(flow)
    const own = this.#byClient.get(client) ?? { all: new Set(), unconfirmed: new Set() }
    this.#byClient.set(client, own)
    own.all.add(flow)
    own.unconfirmed.add(flow)
    this.deadlines.add(flow)
    flow.onDatagram(bytes)
    this.#decide(flow)
  }

  /** No hostname has more decided than would be left: while one machine is started, flows to others find a place. */
  #mayDecide(hostname: string): boolean {
    return (this.#decidingFor.get(hostname) ?? 0) < this.limits.maxDeciding - this.#deciding
  }

  #countDeciding(hostname: string, by: 1 | -1): void {
    this.#deciding += by
    const count = (this.#decidingFor.get(hostname) ?? 0) + by
    if (count === 0) this.#decidingFor.delete(hostname)
    else this.#decidingFor.set(hostname, count)
  }

  #makeRoom(client: string): boolean {
    const { maxFlows, maxFlowsPerClient } = this.limits
    const own = this.#byClient.get(client)
    if (own !== undefined && own.all.size >= maxFlowsPerClient && !evictFirst(own.unconfirmed)) return false
    return this.size < maxFlows || evictFirst(this.#unconfirmed)
  }

  #decide(flow: Flow): void {
    this.#countDeciding(flow.hostname, 1)
    const failed = (cause: unknown): void => {
      this.report(errorEvent("ProxyFailed", cause))
      flow.settle({ refuse: "the router failed", code: "PROXY_FAILED" })
    }
    const decided = async (): Promise<void> => {
      try {
        flow.settle(await this.#options.onFlow(flow))
      } catch (cause) {
        failed(cause)
      } finally {
        this.#countDeciding(flow.hostname, -1)
      }
    }
    void decided()
  }

  confirm(flow: Flow): void {
    this.#unconfirmed.delete(flow)
    this.#byClient.get(networkOf(flow.remoteAddress))?.unconfirmed.delete(flow)
  }

  remove(flow: Flow): void {
    const socket = this.#sockets.get(flow)
    if (socket === undefined) return
    this.#sockets.delete(flow)
    const flows = this.#bySocket.get(socket)!
    flows.delete(keyOf(flow.remoteAddress, flow.remotePort))
    if (flows.size === 0) this.#bySocket.delete(socket)
    this.confirm(flow)
    const client = networkOf(flow.remoteAddress)
    const own = this.#byClient.get(client)!
    own.all.delete(flow)
    if (own.all.size === 0) this.#byClient.delete(client)
    this.deadlines.remove(flow)
  }

  endAll(of: Socket | undefined): void {
    for (const [flow, socket] of this.#sockets) if (of === undefined || socket === of) flow.end("drained")
  }

  report(event: DatagramEvent): void {
    try {
      this.#options.onEvent?.(event)
    } catch {
      // A log that fails must not fail the flow.
    }
  }

  guard(run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.report(errorEvent("ProxyFailed", cause))
    }
  }
}

/** Ends the oldest flow of a set; false without any. */
const evictFirst = (flows: ReadonlySet<Flow>): boolean => {
  const [first] = flows
  first?.end("evicted")
  return first !== undefined
}

const keyOf = (address: string, port: number): string => `${address} ${port}`

const networkOf = (address: string): string => clientNetwork(canonicalAddress(address.replace(/%.*$/s, "")))
