import { accept, checkOptions, clientNetwork } from "@project-ingress/forward/internal"
import type { ConnectionAdmission, Limits } from "@project-ingress/forward/sockets"
import { MachineLimited, ProjectLimited } from "../errors.ts"
import { clientAddressOf } from "../program/sender.ts"
import type { Sender } from "../program/sender.ts"
import type { RouterEvent } from "../router-options.ts"
import { projectKey } from "../stores/project-key.ts"
import type { Machine, RouteRecord } from "../stores/record.ts"
import { Bound } from "./bound.ts"
import { UnnamedBalancer } from "./unnamed-balancer.ts"

/** How much of a host each one may have at a time. */
export interface RequestBounds {
  /** Requests in flight, WebSockets not counted. An integer from 1 up. */
  readonly requests?: number
  /** Open WebSockets. An integer from 1 up. */
  readonly webSockets?: number
}

/** How much of a host one client may have at a time. */
export interface ClientBounds extends RequestBounds {
  /** Open connections, WebSockets included; those of trusted proxies are not counted. An integer from 1 up. */
  readonly connections?: number
}

/**
 * How much of a host one client, one project and one machine may have at a time, so that others have the rest. Defaults are
 * parts of `limits.maxConnections`.
 */
export interface Bounds {
  /**
   * Each client: its address, of IPv6 the `/64`; all unknown clients are one. `false` for none. Default: a quarter of
   * `maxConnections`; an eighth each for requests, but at most half of `maxConnectionsPerPool`, and WebSockets.
   */
  readonly client?: ClientBounds | false
  /**
   * Each project: the record's `owner`, else its `externalId`, else the machine attached; whatever hostname was asked for.
   * Default: a quarter of `maxConnections` each.
   */
  readonly project?: RequestBounds
  /** Each machine. Default: a quarter of `maxConnections` each, for requests at most `maxConnectionsPerPool`. */
  readonly machine?: RequestBounds
}

/** What one request has of the bounds. */
export interface Held {
  /** Counts the request for the machine that its route leads to; another one replaces it. The error if that may have no more. */
  readonly admit: NonNullable<Sender<unknown>["admit"]>
  /** The request, or the WebSocket that it became, is over. Called once. */
  readonly release: () => void
}

/** The bounds of one host. */
export interface HostBounds extends ConnectionAdmission {
  /** Counts a request for its client; `undefined` if that may have no more. */
  readonly enter: (clientAddress: string | undefined, webSocket: boolean) => Held | undefined
}

/** What bounds depend on beside their options. */
export interface HostFacts {
  readonly limits: Limits
  /** Whether an address is a trusted proxy's. `undefined`: nobody said whether there is one. */
  readonly isProxy: ((address: string) => boolean) | undefined
  readonly report: (event: RouterEvent) => void
}

/** @throws {TypeError} for an option that is unknown or invalid */
export const checkBounds = (owner: string, bounds: Bounds): void => {
  const count = accept.integer(1)
  const requests = { requests: count, webSockets: count }
  const client = (value: unknown) => (value === false ? undefined : accept.object(value) && "an object or false")
  const of = { client, project: accept.object, machine: accept.object }
  checkOptions(owner, bounds, of, { at: "bounds" })
  if (typeof bounds.client === "object")
    checkOptions(owner, bounds.client, { connections: count, ...requests }, { at: "bounds.client" })
  for (const name of ["project", "machine"] as const) {
    const given = bounds[name]
    if (given !== undefined) checkOptions(owner, given, requests, { at: `bounds.${name}` })
  }
}

export const hostBounds = (options: Bounds, { limits, isProxy, report }: HostFacts): HostBounds => {
  const { maxConnections, maxConnectionsPerPool } = limits
  const part = (of: number, most = Infinity) => Math.max(1, Math.floor(Math.min(maxConnections / of, most)))
  const bounded = options.client !== false
  const { client = {}, project = {}, machine = {} } = options
  const given: ClientBounds = client === false ? {} : client

  const connections = new Bound("client", "connections", given.connections ?? part(4), report)
  const ofClient = pair("client", given, part(8, maxConnectionsPerPool / 2), part(8), report)
  const ofProject = pair("project", project, part(4), part(4), report)
  const ofMachine = pair("machine", machine, part(4, maxConnectionsPerPool), part(4), report)

  const balancer =
    bounded && isProxy === undefined
      ? new UnnamedBalancer((address) =>
          report({ type: "client_bounds", active: address === undefined, reason: reasonOf(address) }),
        )
      : undefined
  const enforced = () => bounded && balancer?.address === undefined

  /** The key of a connection, if it is a client's. */
  const connectionKey = (remoteAddress: string): string | undefined => {
    const address = clientAddressOf(remoteAddress)
    return address !== undefined && isProxy?.(address) === true ? undefined : clientNetwork(address)
  }

  return {
    admit: (remoteAddress) => {
      const key = connectionKey(remoteAddress)
      return key === undefined || connections.take(key, enforced())
    },
    release: (remoteAddress) => {
      const key = connectionKey(remoteAddress)
      if (key !== undefined) connections.give(key)
    },
    enter: (clientAddress, webSocket) => {
      balancer?.see(clientAddress)
      const of = webSocket ? "webSockets" : "requests"
      const key = clientNetwork(clientAddress)
      if (!ofClient[of].take(key, enforced())) return undefined
      return new HeldBounds(ofClient[of], key, ofProject[of], ofMachine[of])
    },
  }
}

type Pair = Readonly<Record<"requests" | "webSockets", Bound>>

const pair = (
  bound: "client" | "project" | "machine",
  given: RequestBounds,
  requests: number,
  webSockets: number,
  report: HostFacts["report"],
): Pair => ({
  requests: new Bound(bound, "requests", given.requests ?? requests, report),
  webSockets: new Bound(bound, "webSockets", given.webSockets ?? webSockets, report),
})

class HeldBounds implements Held {
  readonly #client: Bound
  readonly #clientKey: string
  readonly #project: Bound
  #projectKey: string | undefined
  readonly #machine: Bound
  #machineKey: string | undefined

  constructor(client: Bound, clientKey: string, project: Bound, machine: Bound) {
    this.#client = client
    this.#clientKey = clientKey
    this.#project = project
    this.#machine = machine
  }

  admit(record: RouteRecord, { id }: Machine): ProjectLimited | MachineLimited | undefined {
    this.#leave()
    const project = projectKey(record, id)
    if (!this.#project.take(project)) return new ProjectLimited({ project, limit: this.#project.max })
    this.#projectKey = project
    if (!this.#machine.take(id)) return new MachineLimited({ machine: id, limit: this.#machine.max })
    this.#machineKey = id
    return undefined
  }

  release(): void {
    this.#client.give(this.#clientKey)
    this.#leave()
  }

  /** The request has no machine, or another one from now on. */
  #leave(): void {
    if (this.#projectKey !== undefined) this.#project.give(this.#projectKey)
    if (this.#machineKey !== undefined) this.#machine.give(this.#machineKey)
    this.#projectKey = this.#machineKey = undefined
  }
}

const reasonOf = (address: string | undefined): string =>
  address === undefined
    ? "no private address has most of the requests any more: bounds per client are on"
    : `most requests come from ${address}, as from a load balancer: bounds per client are off until trustedProxies says who it is`
