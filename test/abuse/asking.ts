/** Requests that are texts of HTTP/1.1, sent by any way into a router. */
import { connect } from "node:http2"
import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2"
import { STATUS_CODES } from "node:http"
import type { SoakChain } from "../../scripts/soak/chain.ts"
import { DOMAIN } from "../../scripts/soak/tenant.ts"
import { RawClient } from "./raw-client.ts"

/** Who sends them, one after another. */
export interface Asking {
  /** Nothing more can be sent. */
  readonly ended: boolean
  /** Sends a request and resolves with its response, as a text of HTTP/1.1, or with what there was of it. */
  readonly ask: (request: string, options?: { readonly bodiless?: boolean }) => Promise<string>
  readonly close: () => void
}

/** The clients of a chain; `open` gives one. Those of HTTP/2 share one connection. */
export const clientsOf = (chain: SoakChain): { readonly open: () => Asking; readonly close: () => void } => {
  if (chain.by !== "http2") return { open: () => new RawClient(chain.routerPort), close: () => undefined }
  let session: ClientHttp2Session | undefined
  const connected = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = connect(`https://127.0.0.1:${chain.routerPort}`, {
      servername: `any.${DOMAIN}`,
      rejectUnauthorized: false,
      // In MB: hostile responses are large.
      maxSessionMemory: 500,
    })
    session.on("error", () => undefined)
    return session
  }
  return {
    open: () => ({ ended: false, ask: (request) => askByStream(connected(), request), close: () => undefined }),
    close: () => session?.destroy(),
  }
}

const askByStream = (session: ClientHttp2Session, request: string): Promise<string> =>
  new Promise((resolve) => {
    const at = request.indexOf("\r\n\r\n")
    const [line = "", ...lines] = request.slice(0, at).split("\r\n")
    const [method = "", path = ""] = line.split(" ")
    const body = request.slice(at + 4)
    const fields: Record<string, string> = { ":method": method, ":path": path }
    for (const each of lines) {
      const colon = each.indexOf(":")
      const name = each.slice(0, colon).toLowerCase()
      fields[name === "host" ? ":authority" : name] = each.slice(colon + 1).trim()
    }
    const stream = session.request(fields, { endStream: body === "" })
    let [head, text] = ["", ""]
    stream.once("response", (headers: IncomingHttpHeaders, _: number, raw: readonly string[]) => {
      const status = Number(headers[":status"])
      head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`
      for (let i = 0; i < raw.length; i += 2) if (!raw[i]!.startsWith(":")) head += `${raw[i]}: ${raw[i + 1]}\r\n`
      head += "\r\n"
    })
    stream.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")))
    stream.on("error", () => undefined)
    stream.once("close", () => resolve(head + text))
    if (body !== "") stream.end(body, "latin1")
  })
