import { request as httpRequest } from "node:http"
import type { World } from "./sign-in-world.ts"

/**
 * Asks a host on loopback by URL, whatever its hostname resolves to. By HTTP, also for `https:`: as from a load balancer that ends TLS and
 * says nothing of it. Sends what is given and nothing else, as curl does; a body is text.
 */
export const asking =
  (port: number): World["ask"] =>
  (url, { method = "GET", headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const { host: authority, pathname, search } = new URL(url)
      const options = { host: "127.0.0.1", port, agent: false, method, path: pathname + search } as const
      const fields = { ...(headers as Record<string, string>), host: authority }
      httpRequest({ ...options, headers: fields }, (incoming) => {
        const parts: Buffer[] = []
        incoming.on("data", (part: Buffer) => parts.push(part))
        incoming.on("end", () => {
          const got = new Headers()
          for (let at = 0; at < incoming.rawHeaders.length; at += 2)
            got.append(incoming.rawHeaders[at]!, incoming.rawHeaders[at + 1]!)
          const status = incoming.statusCode!
          resolve(new Response(BODYLESS.has(status) ? null : Buffer.concat(parts), { status, headers: got }))
        })
      })
        .on("error", reject)
        .end(typeof body === "string" ? body : undefined)
    })

/** What `new Response` refuses a body for. */
const BODYLESS: ReadonlySet<number> = new Set([204, 205, 303, 304])
