// Bundled and run in workerd by polled-worker.test.ts: a Worker that reads its routes from a table of D1, in module scope.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "../../src/router.ts"
import type { Router } from "../../src/router.ts"
import { polledSql } from "../../src/stores/polled-sql.ts"

interface Env {
  readonly ROUTES: { prepare(text: string): { all(): Promise<unknown>; run(): Promise<unknown> } }
}

const grammar = defineGrammar({ domains: ["iterate.app"] })
let routes: Env["ROUTES"]
const store = polledSql((text) => routes.prepare(text).all(), {
  sql: "select name, target from redirects",
  map: ({ name, target }) => ({
    key: `p:${String(name)}`,
    route: { kind: "redirect", to: String(target), status: 302, visibility: "public" },
  }),
  pollMs: 10,
  mayLose: 100,
})
let router: Router | undefined

export default {
  async fetch(
    request: Request,
    env: Env,
    context: { readonly waitUntil: (work: Promise<unknown>) => void },
  ): Promise<Response> {
    routes = env.ROUTES
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === "/sql") return Response.json(await routes.prepare(searchParams.get("text")!).run())
    router ??= createRouter({
      grammar,
      store,
      providers: [upstream({ allowHosts: ["www.example.com"] })],
      signingKey: (await generateTicketKeys("test")).signing,
    })
    // Without the `Host` of miniflare's own connection.
    return (await router.fetch(new Request(request.url), context)) ?? new Response("not ours", { status: 421 })
  },
}
