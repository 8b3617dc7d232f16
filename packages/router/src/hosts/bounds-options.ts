import { accept, checkOptions } from "@project-ingress/forward/internal"

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

/** @throws {TypeError} for an option that is unknown or invalid */
export const checkBounds = (owner: string, bounds: Bounds): void => {
  const count = accept.integer(1)
  const requests = { requests: count, webSockets: count }
  const of = { client: isClientBounds, project: accept.object, machine: accept.object }
  checkOptions(owner, bounds, of, { at: "bounds" })
  if (typeof bounds.client === "object")
    checkOptions(owner, bounds.client, { connections: count, ...requests }, { at: "bounds.client" })
  for (const name of ["project", "machine"] as const) {
    const given = bounds[name]
    if (given !== undefined) checkOptions(owner, given, requests, { at: `bounds.${name}` })
  }
}

const isClientBounds = (value: unknown): string | undefined =>
  value === false ? undefined : accept.object(value) && "an object or false"
