// The router in a Worker, its route in memory: what it adds to each request.
import { defineGrammar } from "../../packages/hostname/src/hostname.ts"
import { local } from "../../packages/providers/src/adapters/local.ts"
import { createRouter } from "../../packages/router/src/router.ts"
import type { Router } from "../../packages/router/src/router.ts"
import { memoryStore } from "../../packages/router/src/stores/memory.ts"

interface Env {
  readonly MACHINE_PORT: string
  readonly SIGNING_KEY: string
}

let router: Router | undefined

const routerFor = ({ MACHINE_PORT, SIGNING_KEY }: Env): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "local", externalId: "m1", metadata: { port: Number(MACHINE_PORT) } },
        ports: { 3000: { visibility: "public" } },
      },
    }),
    providers: [local()],
    signingKey: JSON.parse(SIGNING_KEY),
    // The app behind both is nginx, which has no machine's secret.
    unprovenMachines: true,
    clientAddress: (request) => request.headers.get("cf-connecting-ip"),
  })

export default {
  fetch: async (
    request: Request,
    env: Env,
    context: { readonly waitUntil: (work: Promise<unknown>) => void },
  ): Promise<Response> => {
    router ??= routerFor(env)
    return (await router.fetch(request, context)) ?? new Response("not ours", { status: 404 })
  },
}
