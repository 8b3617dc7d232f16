/** An edge between router and machine that keeps what it may, by the URL alone, as a platform's in front of a machine does. */
import { createServer, request as httpRequest } from "node:http"
import type { IncomingHttpHeaders } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import type { RunningHost } from "./hosts.ts"

interface Kept {
  readonly status: number
  readonly headers: string[]
  readonly body: Buffer
}

/** The fields that say how long, the first that is there counts: targeted ones win over `Cache-Control` (RFC 9213 §2.2). */
const precedence = ["cloudflare-cdn-cache-control", "cdn-cache-control", "surrogate-control", "cache-control"]

/** Whether a shared cache may keep a response (RFC 9111 §3), if it heeds nothing that a request says. */
const mayKeep = (status: number | undefined, headers: IncomingHttpHeaders): boolean => {
  const name = precedence.find((each) => headers[each] !== undefined)
  const says = name === undefined ? "" : String(headers[name])
  return status === 200 && /\b(?:max-age|s-maxage)=[1-9]/.test(says) && !/no-store|private/.test(says)
}

/** An edge in front of `originPort`; `kept` is what it has kept, by URL. */
export const startCachingEdge = async (
  originPort: number,
): Promise<RunningHost & { readonly kept: ReadonlyMap<string, Kept> }> => {
  const kept = new Map<string, Kept>()
  const server = createServer((request, response) => {
    const known = request.method === "GET" ? kept.get(request.url!) : undefined
    if (known !== undefined) {
      response.writeHead(known.status, known.headers).end(known.body)
      return
    }
    const { method, url: path, rawHeaders: headers } = request
    const onward = httpRequest(
      { host: "127.0.0.1", port: originPort, method, path, headers, agent: false },
      (answer) => {
        const parts: Buffer[] = []
        answer.on("data", (part: Buffer) => parts.push(part))
        answer.on("end", () => {
          const body = Buffer.concat(parts)
          const status = answer.statusCode!
          if (method === "GET" && mayKeep(status, answer.headers))
            kept.set(path!, { status, headers: answer.rawHeaders, body })
          response.writeHead(status, answer.rawHeaders).end(body)
        })
      },
    )
    onward.on("error", () => response.destroy())
    request.pipe(onward)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    kept,
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
