// Bundled and run in workerd by fetch.test.ts: a region's router as a Worker has it.
import { regionRouter } from "./region-router.ts"
import type { RouterSetup } from "./region-router.ts"
import type { Router } from "../../src/router.ts"

let router: Router | undefined

export default {
  async fetch(request: Request, env: { readonly SETUP: RouterSetup }): Promise<Response> {
    router ??= regionRouter(env.SETUP)
    return (await router.fetch(request)) ?? new Response("not ours", { status: 404 })
  },
}
