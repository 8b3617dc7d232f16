import { generateTicketKeys, headerValue } from "@project-ingress/forward"
import type { MachineProvider } from "@project-ingress/providers"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { expect, it } from "vitest"
import { platform } from "../src/platform.ts"

const fake: MachineProvider = {
  type: "fake",
  capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
  resolve: async (machine) => ({ origin: `http://${machine.externalId}.test`, epoch: "1", ttlMs: 0 }),
}
const machine = (externalId: string) => ({
  machine: { id: `mach_${externalId}`, type: "fake", externalId, metadata: {} },
})
const routes = memoryStore({ "p:demo": machine("a"), "p:misha": machine("b") })
const router = platform({
  store: routes,
  providers: [fake],
  signingKey: (await generateTicketKeys("test")).signing,
  // The transport below stands for a machine and holds no key to prove it with.
  unprovenMachines: true,
  // Answers as a machine does: stamped, with what it was asked.
  transport: async ({ origin, headers }) =>
    new Response(`${origin} ${headerValue(headers, "x-iterate-proxy-target-host")}`, {
      headers: { "x-iterate-proxy-stamp": "unproven" },
    }),
})
const ask = async (host: string, headers = {}) => {
  const response = await router.fetch(new Request(`https://${host}/`, { headers }))
  return response === undefined ? "foreign" : `${response.status} ${await response.text()}`.trim()
}

it("sends a project's hostname to its machine, at the port that it names", async () => {
  expect(await ask("demo.iterate.app")).toBe("200 http://a.test 3000__demo.iterate.app")
  expect(await ask("opencode--demo.iterate.app")).toContain("200 http://a.test 4096__")
})

it("asks strangers to log in", async () => {
  expect(await ask("misha.iterate.app")).toContain("LOGIN_REQUIRED")
  expect(await ask("misha.iterate.app", { cookie: "session=1" })).toContain("200 http://b.test")
})

it("leaves its own hostnames to the app, and forgets what is detached", async () => {
  expect(await ask("iterate.app")).toBe("foreign")
  routes.detach("p:demo")
  expect(await ask("demo.iterate.app")).toContain("ROUTE_NOT_FOUND")
})
