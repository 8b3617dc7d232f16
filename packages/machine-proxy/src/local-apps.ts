import type { UpstreamAddress } from "@project-ingress/forward/sockets"
import type { AppProtocol } from "./app-protocol.ts"
import { appProtocol } from "./app-protocol.ts"

/** An app on a port of this machine. */
export interface LocalApp {
  /** Where its connections go. */
  readonly address: UpstreamAddress
  /** What it sees as `Host` by default: `localhost:<port>`. */
  readonly authority: string
  /** Absent for HTTP/1.1. */
  readonly protocol?: AppProtocol
}

// A client that requests every port must not make the process grow.
const MAX_APPS = 1_024

/**
 * The app on a port, 1 to 65535; made once per port and protocol, of which the router says what `appProtocol` reads: `undefined` for
 * any other. `loopback`: the one address that apps listen on, if there is only one.
 */
export const localApps = (
  loopback: string | undefined,
): ((port: number, protocol: string | undefined) => LocalApp | undefined) => {
  const apps = new Map<number | string, LocalApp>()
  const made = (port: number, named: string | undefined): LocalApp | undefined => {
    const host = loopback ?? "loopback"
    const authority = `localhost:${port}`
    if (named === undefined) return { address: { pool: String(port), host, port }, authority }
    const protocol = appProtocol(named)
    if (protocol === undefined) return undefined
    const { scheme, ...how } = protocol
    return {
      // Another pool: a connection speaks one protocol, and was verified in one way.
      address: { pool: `${port} ${named}`, host, port, ...how },
      authority: scheme === "https" && port === 443 ? "localhost" : authority,
      protocol,
    }
  }
  return (port, protocol) => {
    const key = protocol === undefined ? port : `${port} ${protocol}`
    let app = apps.get(key)
    if (app !== undefined) return app
    app = made(port, protocol)
    if (app === undefined) return undefined
    if (apps.size >= MAX_APPS) apps.clear()
    apps.set(key, app)
    return app
  }
}
