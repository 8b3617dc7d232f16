import { clientNetwork, repeatedReport } from "@project-ingress/forward/internal"
import type { ConnectionAdmission, Limits } from "@project-ingress/forward/sockets"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { MachineLimited, ProjectLimited } from "../errors.ts"
import { clientAddressOf } from "../program/sender.ts"
import type { Sender } from "../program/sender.ts"
import type { BoundEvent, RouterEvent } from "../router-options.ts"
import { projectShare } from "../stores/project-share.ts"
import type { Machine, RouteRecord } from "../stores/record.ts"
import type { Bounds, ClientBounds, RequestBounds } from "./bounds-options.ts"
import type { ClientIdentity } from "./client-identity.ts"
import { UnnamedBalancer } from "./unnamed-balancer.ts"

/** What one request has of the bounds. */
export interface Held {
  /** Counts the request for the machine that its route leads to; another one replaces it. The error if that may have no more. */
  readonly admit: NonNullable<Sender<unknown>["admit"]>
  /** The request, or the WebSocket that it became, is over. Called once. */
  readonly release: () => void
}

/** The bounds of one host. */
export interface HostBounds extends ConnectionAdmission {
  /** Counts a request for its client, or of a client whom another region's router names; `undefined` if that may have no more. */
  readonly enter: (client: Pick<ClientIdentity, "clientAddress" | "hop">, webSocket: boolean) => Held | undefined
}

/** What bounds depend on beside their options. */
export interface HostFacts {
  readonly limits: Pick<Limits, "maxConnections" | "maxConnectionsPerPool">
  /** Whether an address is a trusted proxy's. `undefined`: nobody said whether there is one. */
  readonly isProxy: ((address: string) => boolean) | undefined
  readonly report: (event: RouterEvent) => void
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
    enter: ({ clientAddress, hop }, webSocket) => {
      // A hop says who it is, whatever stands before this host: many would hide a load balancer that nobody named.
      if (hop === undefined) balancer?.see(clientAddress ?? "an unknown address")
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

/** How many of something each key may have at a time. A key that has none takes no memory. */
class Bound {
  readonly max: number
  readonly #counts = new Map<string, number>()
  readonly #onRefused: (key: string) => void

  /** `report` is called at the first refusal of a key, and then at most once a second; a metric counts all. */
  constructor(bound: BoundEvent["bound"], of: BoundEvent["of"], max: number, report: (event: BoundEvent) => void) {
    this.max = max
    const repeated = repeatedReport<string>((key, count) =>
      report({ type: "bound_reached", bound, of, key, limit: max, count }),
    )
    const refusals = Metric.counter("ingress_refused_total", {
      description: "Connections, requests and WebSockets that were refused because of a bound",
      attributes: { bound, of },
      incremental: true,
    })
    this.#onRefused = (key) => {
      refusals.updateUnsafe(1, Context.empty())
      repeated(key, key)
    }
  }

  /** False if the key has as many as it may; `enforced` false: it is counted all the same, and gets one more. */
  take(key: string, enforced = true): boolean {
    const count = this.#counts.get(key) ?? 0
    if (enforced && count >= this.max) {
      this.#onRefused(key)
      return false
    }
    this.#counts.set(key, count + 1)
    return true
  }

  give(key: string): void {
    const count = this.#counts.get(key) ?? 0
    if (count > 1) this.#counts.set(key, count - 1)
    else this.#counts.delete(key)
  }
}

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
    const project = projectShare(record, id)
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
