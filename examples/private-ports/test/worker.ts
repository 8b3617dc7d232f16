// Bundled and run in workerd by worker.test.ts: the same platform, in front of a machine that says what it got.
import type { SigningKey } from "@project-ingress/forward"
import { createRouter } from "@project-ingress/router"
import { makePlatform } from "../src/platform.ts"

/** What the test has put the clock forward by, in ms. */
let forward = 0
const RealDate = Date
globalThis.Date = class extends RealDate {
  constructor(...given: [] | [number]) {
    super(...(given.length === 0 ? ([RealDate.now() + forward] as const) : given))
  }
  static override now(): number {
    return RealDate.now() + forward
  }
} as typeof Date

const start = async (signingKey: SigningKey) => {
  const origin = "http://localhost:8787"
  const machine = { type: "fake", externalId: "app", metadata: {} }
  const platform = await makePlatform({ signingKey, origin, machine })
  const router = createRouter({
    ...platform.router,
    unprovenMachines: true,
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async ({ headers }) => {
      const isSecret = headers.some((name, at) => at % 2 === 0 && /^(?:cookie|authorization)$/i.test(name))
      const stamp = { "x-iterate-proxy-stamp": "unproven" }
      return new Response(isSecret ? "a secret" : "nothing secret", { headers: stamp })
    },
  })
  return async (request: Request): Promise<Response> => {
    const { pathname, hostname, search } = new URL(request.url)
    // For the test alone: a platform hands these to whoever may have them.
    if (hostname === "test.invalid") {
      if (pathname === "/clock") forward = Number(search.slice(1))
      if (pathname === "/revoke") await platform.registry.revoke("misha")
      return Response.json({ token: platform.token, link: platform.link })
    }
    return (await router.fetch(request)) ?? platform.controlPlane(request)
  }
}

let respond: ReturnType<typeof start> | undefined

export default {
  fetch: async (request: Request, { SIGNING_KEY }: { readonly SIGNING_KEY: SigningKey }): Promise<Response> =>
    (await (respond ??= start(SIGNING_KEY)))(request),
}
