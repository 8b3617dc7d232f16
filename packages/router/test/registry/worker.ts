// Bundled and run in workerd by worker.test.ts: a Worker whose routes are in D1.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding } from "../../src/stores/d1.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })

export default {
  async fetch(request: Request, { ROUTES }: { readonly ROUTES: D1Binding }): Promise<Response> {
    const registry = d1Registry(ROUTES, { grammar })
    if (new URL(request.url).pathname === "/control-plane") {
      await registry.migrate()
      await registry.create({ name: "misha", visibility: "public" })
      await registry.redirect("misha", { to: "https://example.com/moved", status: 302 })
      await registry.create({ name: "anna", visibility: "public" })
      const taken = await registry.create({ name: "misha" }).catch((cause: { readonly _tag?: string }) => cause._tag)
      return Response.json(taken)
    }
    const { signing } = await generateTicketKeys("test")
    const router = createRouter({ grammar, store: registry, providers: [local()], signingKey: signing })
    // Without the `Host` of miniflare's own connection.
    return (await router.fetch(new Request(request.url))) ?? new Response("not ours", { status: 421 })
  },
}
