// Bundled and run in workerd by hosts.ts: the router as a Worker has it.
import type { Router } from "../../src/router.ts"
import { routerFor } from "./router.ts"
import type { RouterSetup } from "./router.ts"

let router: Router | undefined

export default {
  async fetch(request: Request, env: { readonly SETUP: RouterSetup }, context: ExecutionContext): Promise<Response> {
    router ??= routerFor(env.SETUP)
    return (await router.fetch(request, context)) ?? new Response("not ours", { status: 404 })
  },
}

interface ExecutionContext {
  readonly waitUntil: (work: Promise<unknown>) => void
}
