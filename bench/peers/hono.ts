import { installed, place, portOf, targetHeader, ticketHeader } from "./job.ts"

interface Context {
  readonly req: {
    readonly url: string
    readonly raw: Request
    header(): Record<string, string>
    header(name: string): string | undefined
  }
}
interface App {
  all(path: string, handler: (context: Context) => Promise<Response>): void
  readonly fetch: unknown
}

const { Hono } = await installed<{ readonly Hono: new () => App }>("hono")
const { proxy } = await installed<{ readonly proxy: (url: string, options: object) => Promise<Response> }>("hono/proxy")
const { serve } = await installed<{ readonly serve: (options: object) => unknown }>("@hono/node-server")
const app = new Hono()
app.all("*", ({ req }) => {
  const { pathname, search } = new URL(req.url)
  const port = portOf(req.header(targetHeader))
  return proxy(`http://127.0.0.1:${port}${pathname}${search}`, {
    raw: req.raw,
    headers: { ...req.header(), host: `localhost:${port}`, [targetHeader]: undefined, [ticketHeader]: undefined },
  })
})
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: place.port })
