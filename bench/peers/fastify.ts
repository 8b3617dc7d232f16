import type { IncomingHttpHeaders } from "node:http"
import { installed, place, portOf, targetHeader, ticketHeader } from "./job.ts"

interface App {
  register(plugin: unknown, options: object): PromiseLike<unknown>
  listen(options: object): Promise<string>
}
interface Incoming {
  readonly headers: IncomingHttpHeaders
}

const { default: fastify } = await installed<{ readonly default: (options: object) => App }>("fastify")
const { default: plugin } = await installed<{ readonly default: unknown }>("@fastify/http-proxy")
const app = fastify({ logger: false })
await app.register(plugin, {
  upstream: "",
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    getUpstream: ({ headers }: Incoming) => `http://127.0.0.1:${portOf(headers[targetHeader])}`,
    rewriteRequestHeaders: (_: unknown, headers: IncomingHttpHeaders) => {
      const { [targetHeader]: target, [ticketHeader]: _ticket, ...others } = headers
      return { ...others, host: `localhost:${portOf(target)}` }
    },
  },
})
await app.listen({ host: "127.0.0.1", port: place.port, backlog: 4_096 })
