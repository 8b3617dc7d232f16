// Bundled and run in workerd by worker.test.ts: one visit that says what a balancer did.
import { generateTicketKeys } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { defineGrammar } from "@project-ingress/hostname"
import { balancer } from "../../src/balancer.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

const machine = (id: string) => ({ id, type: "fake", externalId: id, metadata: {} })

const visit = async (context: { waitUntil: (work: Promise<unknown>) => void }): Promise<object> => {
  const events: unknown[] = []
  const probes: string[] = []
  let handedOver = 0
  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": {
        machine: machine("one"),
        replicas: [machine("two")],
        balance: "round-robin",
        healthCheck: { path: "/healthz" },
      },
    }),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async ({ id }) => ({ origin: `http://${id}.test`, epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async ({ origin, target }) => {
      if (target === "/healthz") probes.push(origin)
      else if (origin === "http://two.test") throw new SendFailure("refused", "no", undefined)
      return new Response(origin, { headers: { "x-iterate-proxy-stamp": "unproven" } })
    },
    signingKey: (await generateTicketKeys("test")).signing,
    unprovenMachines: true,
    balancer,
    onEvent: (event) => void (event.type === "machine_health" && events.push([event.state, event.machine])),
  })
  const waiting: Promise<unknown>[] = []
  const waitUntil = (work: Promise<unknown>): void => {
    handedOver++
    waiting.push(work)
    context.waitUntil(work)
  }
  const bodies: (string | undefined)[] = []
  for (let at = 0; at < 12; at++) {
    const response = await router.fetch(new Request("http://misha.iterate.app/"), { waitUntil })
    bodies.push(await response?.text())
  }
  await Promise.all(waiting)
  return { bodies: [...new Set(bodies)], events, probes: probes.toSorted(), handedOver }
}

export default {
  fetch: async (_: Request, __: unknown, context: { waitUntil: (work: Promise<unknown>) => void }) =>
    Response.json(await visit(context)),
}
