/** A hostile edge between router and machine, as a vendor's or a CDN's could be: it reads and changes everything in clear text. */
import { once } from "node:events"
import { createServer, request as httpRequest } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** What it does to a request. */
export type EdgeTrick =
  | "passes"
  /** Sends the request to the machine of the tenant before. */
  | "mixes"
  /** Sends the request a second time, on its own. */
  | "replays"
  /** Ends the response in the middle. */
  | "truncates"
  /** Takes the fields of ours out of the request. */
  | "strips the request"
  /** Takes the fields of ours out of the response. */
  | "strips the response"
  /** Adds fields in our name to the response, and cookies of the whole domain. */
  | "adds"
  /** Responds by itself, with a page of its own. */
  | "responds"
  /** Responds by itself in the machine proxy's name, with a stamp of its own making. */
  | "forges"
  /** Responds with what the last machine said, to whomever. */
  | "caches"
  /** Keeps the response until {@link HostileEdge.release}. */
  | "delays"
  /** Sends nothing, and closes. */
  | "drops"

/** A running edge. */
export interface HostileEdge extends AsyncDisposable {
  /** One port for each machine, in their order. */
  readonly ports: readonly number[]
  trick: EdgeTrick
  /** The last response of a machine, as the edge could keep it. */
  readonly kept: () => KeptResponse | undefined
  /** How many responses are delayed. */
  readonly delayed: () => number
  /** Lets the delayed responses go. */
  readonly release: () => void
}

interface KeptResponse {
  readonly status: number
  readonly fields: readonly string[]
  body: string
}

/** Text that only the edge says. */
export const EDGE = "this is the edge's own page"

const ours = (name: string): boolean => name.toLowerCase().startsWith("x-iterate-proxy-")

/** Stands before the machine proxies on these ports. */
export const startHostileEdge = async (machinePorts: readonly number[]): Promise<HostileEdge> => {
  let kept: KeptResponse | undefined
  const delayed: (() => void)[] = []
  const pass = (
    port: number,
    incoming: IncomingMessage,
    body: Buffer,
    onResponse: (response: IncomingMessage) => void,
  ): void => {
    const headers = edge.trick === "strips the request" ? without(incoming.rawHeaders) : incoming.rawHeaders
    const outgoing = httpRequest({ host: "127.0.0.1", port, method: incoming.method!, path: incoming.url!, headers })
    outgoing.on("response", onResponse)
    outgoing.on("error", () => undefined)
    outgoing.end(body)
  }
  const serve = (index: number) => async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const parts: Buffer[] = []
    for await (const part of incoming) parts.push(part as Buffer)
    const body = Buffer.concat(parts)
    const { trick } = edge
    if (trick === "drops") return incoming.socket.destroy()
    if (trick === "responds") return outgoing.writeHead(200, { "content-type": "text/html" }).end(`<h1>${EDGE}</h1>`)
    if (trick === "forges") {
      return outgoing.writeHead(200, { "x-iterate-proxy-stamp": "AAAAAAAAAAAAAAAAAAAAAA", "x-edge": EDGE }).end(EDGE)
    }
    if (trick === "caches") return outgoing.writeHead(kept!.status, [...kept!.fields]).end(kept!.body)
    const to = trick === "mixes" ? machinePorts[(index + 1) % machinePorts.length]! : machinePorts[index]!
    if (trick === "replays") pass(to, incoming, body, (response) => response.resume())
    pass(to, incoming, body, (response) => {
      const fields = trick === "strips the response" ? without(response.rawHeaders) : [...response.rawHeaders]
      if (trick === "adds") {
        fields.push(
          "x-iterate-proxy-error",
          "ROUTE_NOT_FOUND",
          "x-iterate-proxy-fwd-cache-control",
          "public, max-age=9",
        )
        fields.push("Set-Cookie", "edge=1; Domain=iterate.app", "x-iterate-proxy-request-id", "forged")
      }
      const keeping: KeptResponse = { status: response.statusCode!, fields: response.rawHeaders, body: "" }
      kept = keeping
      response.on("data", (data: Buffer) => (keeping.body += data.toString("latin1")))
      if (trick === "delays") {
        return response.on("end", () => {
          delayed.push(() => outgoing.writeHead(keeping.status, [...fields]).end(keeping.body, "latin1"))
        })
      }
      outgoing.writeHead(response.statusCode!, fields)
      if (trick !== "truncates") return response.pipe(outgoing)
      outgoing.flushHeaders()
      response.once("data", (data: Buffer) => outgoing.write(data.subarray(0, 3), () => outgoing.destroy()))
      return undefined
    })
    return undefined
  }
  const servers = machinePorts.map((_, index) => createServer((...both) => void serve(index)(...both)))
  const ports: number[] = []
  for (const server of servers) {
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    ports.push((server.address() as AddressInfo).port)
  }
  const edge: HostileEdge = {
    ports,
    trick: "passes",
    kept: () => kept,
    delayed: () => delayed.length,
    release: () => delayed.splice(0).forEach((go) => go()),
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
        await once(server, "close")
      }
    },
  }
  return edge
}

const without = (fields: readonly string[]): string[] => {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) if (!ours(fields[i]!)) kept.push(fields[i]!, fields[i + 1]!)
  return kept
}
