// Bundled and run in workerd: the router as a Worker has it.
import type { Router } from "../../src/router.ts"
import { routerFor } from "./router.ts"
import type { TunnelSetup } from "./router.ts"

let router: Router | undefined

export default {
  async fetch(request: Request, env: { readonly SETUP: TunnelSetup }, context: ExecutionContext): Promise<Response> {
    router ??= routerFor(env.SETUP)
    return (await router.fetch(request, context)) ?? new Response("not ours", { status: 404 })
  },
}

interface ExecutionContext {
  readonly waitUntil: (work: Promise<unknown>) => void
}
