// Bundled and run in workerd by console-worker.test.ts: the console of a router in a Worker.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { createConsole, recentEvents } from "../../src/console.ts"
import type { ConsoleData } from "../../src/console.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

const visit = async (): Promise<object> => {
  const recent = recentEvents()
  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({ "p:misha": { machine: { id: "mach_1", type: "fake", externalId: "one", metadata: {} } } }),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://one.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async () => new Response("ok", { headers: { "x-iterate-proxy-stamp": "unproven" } }),
    signingKey: (await generateTicketKeys("test")).signing,
    unprovenMachines: true,
    onEvent: recent.onEvent,
  })
  for (const name of ["misha", "nobody"]) await router.fetch(new Request(`https://${name}.iterate.app/`))
  const ask = createConsole(router, { authorize: ({ headers }) => headers.get("authorization") === "Bearer t", recent })
  const headers = { authorization: "Bearer t" }
  const url = "https://ops.example.com/?hostname=misha.iterate.app"
  const page = await ask(new Request(url, { headers }))
  const text = await page.text()
  const data = (await (await ask(new Request(`${url}&format=json`, { headers }))).json()) as ConsoleData
  return {
    refused: (await ask(new Request(url))).status,
    policy: page.headers.get("content-security-policy"),
    saysIsolate: text.includes("This shows one isolate"),
    leads: text.includes("Sent to the machine"),
    scope: data.scope,
    endpoint: data.explanation?.provider?.endpoint,
    recent: data.recent,
  }
}

export default { fetch: async () => Response.json(await visit()) }
