// The work that every peer does, so that the table compares engines and not features: the target header names the port on
// loopback, the headers of the hop end here, and the app sees `Host: localhost:<port>`. Only `ours` does more.
import type { IncomingHttpHeaders } from "node:http"
import type { Server } from "node:net"

export const targetHeader = "x-iterate-proxy-target-host"
export const ticketHeader = "x-iterate-proxy-ticket"

/** The port that a target header's value names, 0 without one. */
export const portOf = (value: string | readonly string[] | undefined): number => {
  const found = typeof value === "string" ? /^([0-9]{1,5})__[a-z0-9.-]+$/i.exec(value) : null
  return found === null ? 0 : Number(found[1])
}

/** For peers that forward node:http's own request: edits its headers in place, and returns where it goes. */
export const retarget = (headers: IncomingHttpHeaders): string => {
  const port = portOf(headers[targetHeader])
  delete headers[targetHeader]
  delete headers[ticketHeader]
  headers.host = `localhost:${port}`
  return `http://127.0.0.1:${port}`
}

/** An installed peer. Imported by a name that is no literal, so that the repository compiles before it is installed. */
export const installed = async <A>(name: string): Promise<A> => (await import(name)) as A

/** What a run tells its peer. */
export const place = {
  port: Number(process.env["PORT"]),
  webSocketPort: Number(process.env["WEBSOCKET_PORT"]),
  origin: Number(process.env["ORIGIN"]),
  webSocketOrigin: Number(process.env["WEBSOCKET_ORIGIN"]),
  machine: process.env["MACHINE"] ?? "",
  machinePort: Number(process.env["MACHINE_PORT"]),
  signingKey: process.env["SIGNING_KEY"] ?? "",
}

export const listen = (server: Pick<Server, "listen">): void => {
  server.listen(place.port, "127.0.0.1", 4_096)
}
