import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { installed, listen, retarget } from "./job.ts"

interface FastProxy {
  readonly proxy: (request: IncomingMessage, response: ServerResponse, source: string, options: object) => void
}

const { default: create } = await installed<{ readonly default: (options: object) => FastProxy }>("fast-proxy")
// Its pool goes to the one base it was made with, whatever `base` a request names; so there is one for each target.
const proxies = new Map<string, FastProxy>()
const proxyTo = (base: string): FastProxy => {
  const proxy = proxies.get(base) ?? create({ base, undici: { connections: 256, pipelining: 1 } })
  proxies.set(base, proxy)
  return proxy
}
listen(
  createServer((request, response) => {
    const base = retarget(request.headers)
    proxyTo(base).proxy(request, response, request.url ?? "/", { base })
  }),
)
