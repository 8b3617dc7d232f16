import { createServer } from "node:http"
import type { Server } from "node:http"
import type { RouteStore } from "../../stores/route-store.ts"
import type { RouteKey } from "../../stores/record.ts"
import { decodeRecord } from "../../stores/decode-record.ts"
import type { EdgeLog } from "./edge-log.ts"

/**
 * Says on which domains a certificate may be had, as Caddy's `on_demand_tls { ask … }` wants to know: `GET /?domain=…` is 200 for a
 * domain that leads to a machine or redirects now, 404 for any other, 503 while nobody can tell. Not for visitors: it is on an
 * address of its own.
 */
export const askServer = (store: RouteStore, log: EdgeLog): Server => {
  const statusFor = async (domain: string): Promise<number> => {
    const name = domain.toLowerCase().replace(/\.$/, "")
    if (name.length > 253 || !/^[a-z\d.-]+$/.test(name)) return 404
    const key: RouteKey = `d:${name}`
    try {
      const found = await store.get(key, { signal: new AbortController().signal })
      if (found.status === "unknown") return 503
      if (found.status === "miss") return 404
      const { record } = decodeRecord(found.record)
      return record?.kind === "machine" || record?.kind === "redirect" ? 200 : 404
    } catch {
      return 503
    }
  }
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    const url = URL.parse(request.url ?? "", "http://ask")
    const domain = url?.searchParams.get("domain") ?? ""
    void statusFor(request.method === "GET" ? domain : "").then((status) => {
      log.repeated(`ask ${domain.slice(0, 253)} ${status}`, {
        level: status === 200 ? "info" : "warn",
        message: "certificate asked for",
        fields: { domain: domain.slice(0, 253), status },
      })
      response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end()
    })
  })
  server.maxConnections = 256
  return server
}
