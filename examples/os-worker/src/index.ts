import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import type { Router } from "@project-ingress/router"
import { kvRoutes } from "./kv-routes.ts"
import type { KV } from "./kv-routes.ts"

interface Env {
  readonly DOMAIN: string
  readonly ROUTES: KV
  readonly SIGNING_KEY: string
}

interface Context {
  waitUntil(work: Promise<unknown>): void
}

const routerFor = (env: Env): Router =>
  createRouter({
    grammar: defineGrammar({ domains: [env.DOMAIN], services: { opencode: 4096 } }),
    store: kvRoutes(env.ROUTES),
    providers: [local()],
    signingKey: JSON.parse(env.SIGNING_KEY) as SigningKey,
    // The OS's own session: no project gets it, and none can set it.
    isolateCookies: { reserved: ["os_session"] },
    filterResponseHeaders: true,
    clientAddress: (request) => request.headers.get("cf-connecting-ip") ?? undefined,
  })

/** The platform's own app: everything that is no project and no machine. */
const app = (request: Request): Response => new Response(`the OS itself: ${new URL(request.url).pathname}`)

let router: Router | undefined

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    router ??= routerFor(env)
    return (await router.fetch(request, context)) ?? app(request)
  },
}
