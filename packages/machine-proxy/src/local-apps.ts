import type { UpstreamAddress } from "@project-ingress/forward/sockets"

/** An app on a port of this machine. */
export interface LocalApp {
  /** Where its connections go. */
  readonly address: UpstreamAddress
  /** What it sees as `Host` by default: `localhost:<port>`. */
  readonly authority: string
}

// A client that requests every port must not make the process grow.
const MAX_APPS = 1_024

/**
 * The app on a port, 1 to 65535; made once per port. `loopback`: the one address that apps listen on, if there is only
 * one.
 */
export const localApps = (loopback: string | undefined): ((port: number) => LocalApp) => {
  const apps = new Map<number, LocalApp>()
  return (port) => {
    let app = apps.get(port)
    if (app === undefined) {
      if (apps.size >= MAX_APPS) apps.clear()
      app = { address: { pool: String(port), host: loopback ?? "loopback", port }, authority: `localhost:${port}` }
      apps.set(port, app)
    }
    return app
  }
}
