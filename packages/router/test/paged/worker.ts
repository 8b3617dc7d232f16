// Bundled and run in workerd by worker.test.ts: a Worker whose routes are pages in KV, kept in the Cache API.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "../../src/router.ts"
import { d1Registry } from "../../src/stores/d1.ts"
import type { D1Binding } from "../../src/stores/d1.ts"
import { cachedPages, kvPages, pagedStore, pagePublisher, r2Pages } from "../../src/stores/paged.ts"
import type { KvPagesBinding, PagesCache, R2PagesBinding } from "../../src/stores/paged.ts"

interface Bindings {
  readonly DB: D1Binding
  readonly KV: KvPagesBinding
  readonly R2: R2PagesBinding
}
declare const caches: { open(name: string): Promise<PagesCache> }

const grammar = defineGrammar({ domains: ["iterate.app"] })
let made: Promise<ReturnType<typeof createRouter>> | undefined

const makeRouter = async (kind: string, { KV, R2 }: Bindings): Promise<ReturnType<typeof createRouter>> => {
  const { signing } = await generateTicketKeys("test")
  const pages = kind === "r2" ? r2Pages(R2) : cachedPages(kvPages(KV), await caches.open("pages"))
  const store = pagedStore(pages, { softMs: 0, revalidateMs: 0 })
  return createRouter({ grammar, store, providers: [local()], signingKey: signing })
}

export default {
  async fetch(
    request: Request,
    bindings: Bindings,
    context: { waitUntil(work: Promise<unknown>): void },
  ): Promise<Response> {
    const { pathname } = new URL(request.url)
    const registry = d1Registry(bindings.DB, { grammar })
    const kind = request.headers.get("x-storage") ?? "kv"
    if (pathname === "/create") {
      await registry.migrate()
      await registry.create({ name: "misha", visibility: "public" })
      return new Response()
    }
    if (pathname === "/publish") {
      const storage = kind === "r2" ? r2Pages(bindings.R2) : kvPages(bindings.KV)
      return Response.json(await pagePublisher(storage, registry, { pages: 4 }).sync())
    }
    if (pathname === "/redirect") {
      await registry.redirect("misha", { to: "https://example.com/moved", status: 302 })
      return new Response()
    }
    made ??= makeRouter(kind, bindings)
    // Without the `Host` of miniflare's own connection.
    return (await (await made).fetch(new Request(request.url), context)) ?? new Response("not ours", { status: 421 })
  },
}
