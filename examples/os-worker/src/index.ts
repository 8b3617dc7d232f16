import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import { controlPlane } from "./control-plane.ts"
import type { Env } from "./env.ts"
import { routesOf } from "./routes.ts"

interface Context {
  waitUntil(work: Promise<unknown>): void
}

const osFor = (env: Env) => {
  const grammar = defineGrammar({ domains: [env.DOMAIN], services: { opencode: 4096 } })
  const routes = routesOf(env, grammar)
  const router = createRouter({
    grammar,
    store: routes.store,
    providers: [local()],
    signingKey: JSON.parse(env.SIGNING_KEY) as SigningKey,
    // The OS's own session: no project gets it, and none can set it.
    isolateCookies: { reserved: ["os_session"] },
    filterResponseHeaders: true,
    clientAddress: (request) => request.headers.get("cf-connecting-ip") ?? undefined,
  })
  return { router, api: controlPlane(routes, env.INGRESS_PROXY_API_TOKEN) }
}

/** The platform's own app: everything that is no project and no machine. */
const app = (request: Request): Response => new Response(`the OS itself: ${new URL(request.url).pathname}`)

let os: ReturnType<typeof osFor> | undefined

export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    os ??= osFor(env)
    const routed = await os.router.fetch(request, context)
    if (routed !== undefined) return routed
    const { hostname, pathname } = new URL(request.url)
    // On the OS's own host and on no other: anybody may point a hostname here.
    return hostname === env.DOMAIN && pathname.startsWith("/api/") ? os.api(request) : app(request)
  },
}
