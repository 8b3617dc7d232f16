// Bundled and run in workerd by worker.test.ts: a Worker that routes by KV, and on its schedule publishes there what is in D1.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import { kvPublisher, kvStore } from "../../src/stores/cloudflare-kv.ts"
import type { KvBinding } from "../../src/stores/cloudflare-kv.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding } from "../../src/stores/d1.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })

interface Env {
  readonly DATABASE: D1Binding
  readonly ROUTES: KvBinding
}

export default {
  async fetch(request: Request, { DATABASE, ROUTES }: Env): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === "/control-plane") {
      const registry = d1Registry(DATABASE, { grammar })
      await registry.migrate()
      await registry.create({ name: "anna", visibility: "public" })
      await registry.redirect("anna", { to: "https://example.com/moved", status: 302 })
      return new Response()
    }
    const { signing } = await generateTicketKeys("test")
    const router = createRouter({ grammar, store: kvStore(ROUTES), providers: [local()], signingKey: signing })
    // Without the `Host` of miniflare's own connection.
    return (await router.fetch(new Request(request.url))) ?? new Response("not ours", { status: 421 })
  },
  async scheduled(_event: unknown, { DATABASE, ROUTES }: Env): Promise<void> {
    await kvPublisher(ROUTES, d1Registry(DATABASE, { grammar })).sync()
  },
}
