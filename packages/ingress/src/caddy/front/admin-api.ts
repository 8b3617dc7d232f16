import { request } from "node:http"
import type { IncomingMessage, RequestOptions } from "node:http"
import { canonical } from "./config-diff.ts"

/** A configuration that Caddy runs, and the tag that guards a change of it. */
export interface RunningConfig {
  /** JSON; `null` if there is none. */
  readonly document: unknown
  readonly etag: string
}

/** Caddy's response to a request that it refused. */
export class AdminRefused extends Error {
  readonly _tag = "AdminRefused"
  override readonly name = "AdminRefused"
  readonly status: number
  /** What Caddy said. May quote the configuration: for logs, never for a client. */
  readonly text: string
  constructor(fields: { readonly status: number; readonly text: string }) {
    super(`the admin API responded ${fields.status}`)
    this.status = fields.status
    this.text = fields.text
  }
}

/** The part of Caddy's admin API that is used: the whole configuration, read, and replaced if it is still the one that was read. */
export interface AdminApi {
  read(signal: AbortSignal): Promise<RunningConfig>
  /** Rejects with {@link AdminRefused}: 412 if it is another one by now. */
  replace(document: unknown, ifMatch: string, signal: AbortSignal): Promise<void>
}

/** More than any configuration; a response is read into memory. */
const MAX_BYTES = 256 * 1024 * 1024

/** `http://127.0.0.1:2019`, or `unix//run/caddy/admin.sock`. */
export const adminApi = (address: string, origin: string | undefined): AdminApi => {
  const destination = readAddress(address)
  const call = (method: string, fields: Record<string, string>, body: string | undefined, signal: AbortSignal) =>
    new Promise<{ readonly head: IncomingMessage; readonly text: string }>((resolve, reject) => {
      const headers = {
        // Caddy ends its connections with every change.
        Connection: "close",
        ...fields,
        ...(destination.socketPath === undefined ? {} : { Host: origin ?? "" }),
        ...(body === undefined
          ? {}
          : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }),
      }
      const outgoing = request({ ...destination, method, path: "/config/", headers, agent: false, signal }, (head) => {
        const chunks: Buffer[] = []
        let length = 0
        head.on("data", (chunk: Buffer) => {
          length += chunk.length
          if (length > MAX_BYTES) head.destroy(new Error("the admin API's response is too long"))
          else chunks.push(chunk)
        })
        head.on("error", reject)
        head.on("end", () => resolve({ head, text: Buffer.concat(chunks).toString("utf8") }))
      })
      outgoing.on("error", reject)
      outgoing.end(body)
    })
  const api: AdminApi = {
    read: async (signal) => {
      const { head, text } = await withoutResets(() => call("GET", {}, undefined, signal))
      if (head.statusCode !== 200) throw new AdminRefused({ status: head.statusCode ?? 0, text })
      // A trailer: it is made while the configuration is written (Caddy 2.6).
      const etag = head.trailers["etag"] ?? head.headers.etag
      if (etag === undefined) throw new Error("the admin API gave no ETag")
      return { document: JSON.parse(text) as unknown, etag }
    },
    // Not `/load`, which ignores If-Match.
    replace: async (document, ifMatch, signal) => {
      const body = JSON.stringify(document)
      let isReset = false
      const { head, text } = await withoutResets(
        () => call("POST", { "If-Match": ifMatch }, body, signal),
        () => {
          isReset = true
        },
      )
      // A request that was reset may have been carried out, and is refused the second time.
      if (isReset && head.statusCode === 412) {
        const running = await api.read(signal)
        if (canonical(running.document) === canonical(document)) return
      }
      if (head.statusCode !== 200) throw new AdminRefused({ status: head.statusCode ?? 0, text })
    },
  }
  return api
}

/**
 * With a change Caddy 2.6 opens its admin API again as well, and what the kernel had queued at the old one is reset: one request of 9 000
 * that were sent when a change had just been made, and never the one after it. Others may make changes, too.
 */
const withoutResets = async <T>(send: () => Promise<T>, onReset?: () => void): Promise<T> => {
  for (let left = 3; ; left -= 1) {
    try {
      return await send()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // EPIPE: the reset came while the request was being written.
      if (left === 0 || (code !== "ECONNRESET" && code !== "EPIPE")) throw error
      onReset?.()
    }
  }
}

/** Whether it is an address of the admin API. */
export const isAdminAddress = (address: string): boolean =>
  /^unix\/\/.+/.test(address) ||
  (/^http:\/\/[^/?#@]+\/?$/.test(address) && URL.canParse(address) && new URL(address).hostname !== "")

/** Whether Caddy is on this computer, where its ports can be tried. */
export const isLocal = (address: string): boolean =>
  address.startsWith("unix/") || /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(address).hostname)

const readAddress = (address: string): RequestOptions => {
  const socketPath = /^unix\/(\/.+)$/.exec(address)?.[1]
  if (socketPath !== undefined) return { socketPath, setHost: false }
  const { hostname, port } = new URL(address)
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 80 : Number(port) }
}
