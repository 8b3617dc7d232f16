// Bundled and run in workerd by laws.test.ts: the laws of storages, checked in a Worker on its own D1.
import { d1Storage } from "../../src/storage/d1.ts"
import type { D1Connection } from "../../src/storage/d1.ts"
import { ingressStorageSuite } from "../../src/testing.ts"

export default {
  async fetch(_: Request, { ROUTES }: { readonly ROUTES: D1Connection }): Promise<Response> {
    await d1Storage(ROUTES).migrate()
    const texts = [
      "delete from project_ingress_ingress_documents",
      "update project_ingress_ingress_revision set revision = 0, pruned = 0, last_commit = '', applying = null",
    ]
    const empty = async () => void (await ROUTES.batch(texts.map((text) => ROUTES.prepare(text))))
    const tests: (readonly [law: string, run: () => Promise<void>])[] = []
    const register = (law: string, run: () => Promise<void>) => void tests.push([law, run])
    ingressStorageSuite(register, { open: () => d1Storage(ROUTES), empty }, { lawTimeoutMs: 100_000, writers: 5 })
    const results: (readonly [law: string, result: string])[] = []
    for (const [law, run] of tests) results.push([law, await run().then(() => "holds", String)])
    return Response.json(results)
  },
}
