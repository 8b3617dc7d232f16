// Bundled and run in workerd by grants-hosts.test.ts: a router whose machine gives the fields that it got.
import type { SigningKey } from "@project-ingress/forward"
import { createRouter } from "../../src/router.ts"
import type { RouterOptions } from "../../src/router.ts"
import { grantsOptions } from "./grants-platform.ts"

const machine = { id: "mach_1", type: "fake", externalId: "mach_1", metadata: {} }

const routerOf = (signingKey: SigningKey) =>
  createRouter({
    ...grantsOptions(signingKey, machine),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async ({ headers }) =>
      new Response(JSON.stringify(headers), { headers: { "x-iterate-proxy-stamp": "unproven" } }),
  } satisfies RouterOptions)

let router: ReturnType<typeof routerOf> | undefined

export default {
  fetch: async (request: Request, { SIGNING_KEY }: { readonly SIGNING_KEY: SigningKey }): Promise<Response> =>
    (await (router ??= routerOf(SIGNING_KEY)).fetch(request)) ?? new Response("not ours", { status: 404 }),
}
