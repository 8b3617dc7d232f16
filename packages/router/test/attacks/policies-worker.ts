// Bundled and run in workerd by policies-in-workerd.test.ts: the policies, asked by requests of one isolate.
import { generateTicketKeys } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { authorize, canonicalHost, hideForbidden, rateLimit, requireHeader, visibility } from "../../src/policies.ts"
import { createRouter } from "../../src/router.ts"
import type { Policy, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const url = "https://4096__misha.iterate.app/"
const waiting: Promise<unknown>[] = []
const context = { waitUntil: (work: Promise<unknown>) => void waiting.push(work) }

const who: Policy = {
  name: "who",
  onRoute: ({ header }) => {
    const subject = header("x-visitor")
    return subject === undefined ? undefined : { visitor: { subject, by: "session", id: "s_1" } }
  },
}

const routerOf = (signingKey: SigningKey, policies: NonNullable<RouterOptions["policies"]>) =>
  createRouter({
    grammar,
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "fake", externalId: "x", metadata: {} },
        // Of "key".
        ports: {
          8080: {
            requireHeader: {
              name: "x-key",
              sha256: "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683",
            },
          },
        },
      },
    }),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async () => new Response("ok", { headers: { "x-iterate-proxy-stamp": "unproven" } }),
    signingKey,
    unprovenMachines: true,
    clientAddress: () => "192.0.2.1",
    policies,
  })

const run = async (): Promise<Record<string, unknown>> => {
  let calls = 0
  let isDown = false
  const { signing } = await generateTicketKeys("test")
  const router = routerOf(signing, [
    canonicalHost({ grammar }),
    requireHeader(),
    who,
    ...hideForbidden(
      [
        visibility({ grammar, signIn: { location: async () => "https://app.example/sign-in" } }),
        authorize(async ({ subject }) => {
          calls += 1
          await new Promise((resolve) => setTimeout(resolve, 20))
          if (isDown) throw new Error("down")
          return subject === "anna"
        }),
      ],
      { showLogin: true },
    ),
  ])
  const ask = async (headers: Record<string, string>, init: RequestInit = {}, at = url) => {
    const response = (await router.fetch(new Request(at, { redirect: "manual", headers, ...init }), context))!
    await response.body?.cancel()
    return response.headers.get("location") ?? response.headers.get("x-iterate-proxy-error") ?? response.status
  }
  const anna = { "x-visitor": "anna" }
  const socket = {
    upgrade: "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
  }
  const results: Record<string, unknown> = {
    alias: await ask(anna, {}, "https://4096--misha.iterate.app/a?b"),
    login: await ask({ "sec-fetch-mode": "navigate" }),
    script: await ask({}),
    together: await Promise.all(Array.from({ length: 20 }, () => ask(anna))),
  }
  const callsTogether = calls
  Object.assign(results, {
    again: await ask(anna),
    calls: [callsTogether, calls],
    eve: await ask({ "x-visitor": "eve" }),
    foreignPost: await ask({ ...anna, origin: "https://evil.example" }, { method: "POST" }),
    foreignSocket: await ask({ ...anna, ...socket, origin: "https://evil.example" }),
    preflight: await ask(
      { origin: "https://misha.iterate.app", "access-control-request-method": "PUT" },
      { method: "OPTIONS" },
    ),
    key: [
      await ask({ ...anna, "x-key": "key" }, {}, "https://8080__misha.iterate.app/"),
      await ask({ ...anna, "x-key": "key" }, {}, "https://8080__misha.iterate.app/"),
      await ask({ ...anna, "x-key": "wrong" }, {}, "https://8080__misha.iterate.app/"),
    ],
  })
  isDown = true
  results["down"] = await ask({ "x-visitor": "bob" })
  const limited = routerOf(signing, [
    rateLimit({ key: "client", burst: 1, perSecond: 0.001 }),
    visibility({ default: "public" }),
  ])
  const limitedStatus = async () => (await limited.fetch(new Request(url), context))!.status
  results["rate"] = [await limitedStatus(), await limitedStatus()]
  results["keptAlive"] = waiting.length > 0
  return results
}

export default { fetch: async (): Promise<Response> => Response.json(await run()) }
