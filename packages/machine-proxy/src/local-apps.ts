import type { UpstreamAddress } from "@project-ingress/forward/sockets"

/** An app on a port of this machine. */
export interface LocalApp {
  /** Where its connections go. */
  readonly address: UpstreamAddress
  /** The `Host` that it gets by default: `localhost:<port>`. */
  readonly authority: string
}

// Limits the memory that a client can use up by a request for every port.
const MAX_APPS = 1_024

/** The app on each port, 1 to 65535. `loopback`: the address that apps listen on, if there is only one. */
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
