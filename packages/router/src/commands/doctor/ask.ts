import { request as requestHttp } from "node:http"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { request as requestHttps } from "node:https"
import { isIP } from "node:net"
import type { DoctorTarget } from "./doctor-target.ts"

/** A response as far as it was read. */
export interface Asked {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** At most 64 kB. */
  readonly body: string
  /** In ms since 1970, by this computer's clock: when it was asked, and when the head came. */
  readonly sentAt: number
  readonly receivedAt: number
}

const MAX_BODY = 65_536

/** Sends one GET to an address, without credentials. Gives Node's error code where no response came. */
export const ask = (
  { url, hostname, port, secure }: DoctorTarget,
  address: string,
  timeoutMs: number,
): Promise<Asked | { readonly code: string }> =>
  new Promise((resolve) => {
    const sentAt = Date.now()
    const options = {
      host: address,
      port,
      path: url.pathname + url.search,
      agent: false as const,
      headers: { host: url.host, accept: "application/json", "user-agent": "project-ingress-doctor" },
    }
    // What is wrong with the certificate was found before, and there is nothing in the request that anybody could steal.
    const tls = { rejectUnauthorized: false, ...(isIP(hostname) === 0 ? { servername: hostname } : {}) }
    const request = secure ? requestHttps({ ...options, ...tls }) : requestHttp(options)
    let end = (): void => {
      clearTimeout(deadline)
      request.destroy()
      resolve({ code: "ETIMEDOUT" })
    }
    // What has come by then counts.
    const deadline = setTimeout(() => end(), timeoutMs)
    request.on("error", (cause: NodeJS.ErrnoException) => {
      clearTimeout(deadline)
      resolve({ code: cause.code ?? "UNKNOWN" })
    })
    request.on("upgrade", (response, socket) => {
      socket.destroy()
      clearTimeout(deadline)
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: "", sentAt, receivedAt: Date.now() })
    })
    request.on("response", (response: IncomingMessage) => {
      const receivedAt = Date.now()
      let body = ""
      end = () => {
        clearTimeout(deadline)
        request.destroy()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body, sentAt, receivedAt })
      }
      response.setEncoding("utf8")
      response.on("data", (text: string) => {
        body += text
        // An app's own response may have no end, and nothing of it is needed.
        if (body.length > MAX_BODY || (response.statusCode ?? 0) < 400) end()
      })
      response.on("end", () => end())
      response.on("error", () => end())
    })
    request.end()
  })
