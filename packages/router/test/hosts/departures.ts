/** How an app hears that its client has left, host by host. */
import type { Script } from "../../../machine-proxy/test/catalogue/harness.ts"
import { bytes } from "../../../machine-proxy/test/catalogue/harness.ts"
import { handshake } from "./cases.ts"
import type { Difference } from "./cases.ts"

export interface Departure {
  readonly title: string
  readonly request: string
  readonly responds: Script
  /** The client leaves once the app has that, and the client this. */
  readonly app: string
  readonly client: string
  /** `fin` is what most do; `reset` what one does that has not read everything, or is killed. */
  readonly by: "fin" | "reset"
  /** Where Workers differ: the app hears of it only by what it sends itself. */
  readonly worker?: Omit<Difference, "expected">
}

const get = "GET /a HTTP/1.1\r\n\r\n"
const silent: Script = () => undefined
const streams = bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

const reason =
  "workerd takes a client's FIN for a half-close and looks no further (cloudflare/workerd#4185); on Cloudflare the edge says that a client left, with the flag `enable_request_signal`; a heartbeat in a stream helps everywhere"

export const departures: readonly Departure[] = [
  {
    title: "a client that leaves before a response, by a FIN",
    request: get,
    responds: silent,
    app: "\r\n\r\n",
    client: "",
    by: "fin",
    worker: { instead: "the app's response is taken, and thrown away", reason },
  },
  {
    title: "a client that leaves a quiet stream, by a FIN",
    request: get,
    responds: streams,
    app: "\r\n\r\n",
    client: "hello",
    by: "fin",
    worker: { instead: "the app hears of it when it sends more", reason },
  },
  {
    title: "a client that leaves before a response, by a reset",
    request: get,
    responds: silent,
    app: "\r\n\r\n",
    client: "",
    by: "reset",
  },
  {
    title: "a client that leaves a quiet stream, by a reset",
    request: get,
    responds: streams,
    app: "\r\n\r\n",
    client: "hello",
    by: "reset",
  },
  {
    title: "a client that leaves in the middle of an upload",
    request: "POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\nhello",
    responds: silent,
    app: "hello",
    client: "",
    by: "fin",
  },
  {
    title: "a client that leaves a WebSocket",
    request: handshake,
    responds: silent,
    app: "\r\n\r\n",
    client: "",
    by: "reset",
  },
]
