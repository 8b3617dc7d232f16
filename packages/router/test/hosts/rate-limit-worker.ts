// Bundled and run in workerd by rate-limit.test.ts: a router with rate limits by the platform's bindings.
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { rateLimit } from "../../src/policies.ts"
import type { RateLimiter } from "../../src/policies.ts"
import { createRouter } from "../../src/router.ts"
import type { Router } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

interface Environment {
  readonly SIGNING_KEY: SigningKey
  readonly CLIENTS: RateLimiter
  readonly PROJECTS: RateLimiter
  readonly MACHINES: RateLimiter
}

const machine = (id: string) => ({ id, type: "fake", externalId: id, metadata: {} })

const routerFor = ({ SIGNING_KEY, CLIENTS, PROJECTS, MACHINES }: Environment): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": { owner: "org_1", machine: machine("mach_1") },
      "p:second": { owner: "org_1", machine: machine("mach_2") },
      "p:shared": { owner: "org_3", machine: machine("mach_1") },
      "p:anna": { owner: "org_2", machine: machine("mach_3") },
    }),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async () => new Response("ok", { headers: { "x-iterate-proxy-stamp": "unproven" } }),
    signingKey: SIGNING_KEY,
    unprovenMachines: true,
    clientAddress: (request) => request.headers.get("x-test-client"),
    policies: [
      rateLimit({ binding: CLIENTS, key: "client" }),
      rateLimit({ binding: PROJECTS, key: "project", retryAfterMs: 60_000 }),
      rateLimit({ binding: MACHINES, key: "machine" }),
    ],
  })

let router: Router | undefined

export default {
  fetch: async (request: Request, env: Environment): Promise<Response> =>
    (await (router ??= routerFor(env)).fetch(request)) ?? new Response("not ours", { status: 404 }),
}
