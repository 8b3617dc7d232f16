// Bundled and run in workerd: a router in front of a vendor's machines.
import type { SigningKey } from "@project-ingress/forward"
import type { Router } from "../../src/router.ts"
import { vendorRouter } from "./vendor-router.ts"

interface Env {
  readonly VENDOR: string
  readonly SIGNING_KEY: string
}
let router: Router | undefined

export default {
  fetch: async (
    request: Request,
    { VENDOR, SIGNING_KEY }: Env,
    context: { waitUntil: (work: Promise<unknown>) => void },
  ) => {
    router ??= vendorRouter(VENDOR, JSON.parse(SIGNING_KEY) as SigningKey, { machines: { holdMs: 1_500 } })
    return (await router.fetch(request, context)) ?? new Response("not ours", { status: 404 })
  },
}
