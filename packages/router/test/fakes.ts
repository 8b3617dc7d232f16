import { generateTicketKeys } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import type { forwardFetch } from "@project-ingress/forward/fetch"
import { defineGrammar } from "@project-ingress/hostname"
import type { Endpoint, Machine, MachineProvider } from "@project-ingress/providers"
import { createRouter } from "../src/router.ts"
import type { Router, RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import type { MemoryStore } from "../src/stores/memory.ts"

export type Outgoing = Parameters<typeof forwardFetch>[0]

export const keys = await generateTicketKeys("test")
export const hostnames = defineGrammar({
  domains: ["iterate.app"],
  services: { opencode: 4096 },
  reserved: ["www", "api", "admin"],
})

export const machine = (id: string, metadata: Record<string, unknown> = {}): Machine => ({
  id,
  type: "fake",
  externalId: `ext-${id}`,
  metadata,
})

/** A provider whose machines live at `http://<externalId>.test`. */
export const fake = (
  overrides: Partial<MachineProvider> & { readonly endpoint?: Partial<Endpoint> } = {},
): MachineProvider => {
  const { endpoint, ...rest } = overrides
  return {
    type: "fake",
    capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
    resolve: async (machine) => ({
      origin: `http://${machine.externalId.replaceAll("_", "-")}.test`,
      epoch: "1",
      ttlMs: 0,
      ...endpoint,
    }),
    ...rest,
  }
}

/** An answer as a machine's own proxy gives it. */
export const stamped = (body: BodyInit | null = "ok", init: ResponseInit = {}): Response => {
  const headers = new Headers(init.headers)
  headers.set("x-iterate-proxy-stamp", "unproven")
  return new Response(body, { ...init, headers })
}

export interface Setup {
  readonly router: Router
  readonly routes: MemoryStore
  /** What left for machines, in order. */
  readonly sent: Outgoing[]
}

/** A router over fakes, with `misha` attached to `mach_1`. */
export const setup = (
  options: Partial<RouterOptions> & { readonly answer?: (outgoing: Outgoing) => Response | Promise<Response> } = {},
): Setup => {
  const { answer = () => stamped(), ...rest } = options
  const routes = memoryStore({ "p:misha": { machine: machine("mach_1") } })
  const sent: Outgoing[] = []
  const router = createRouter({
    grammar: hostnames,
    store: routes,
    providers: [fake()],
    signingKey: keys.signing,
    // What stands for machines here holds no key.
    unprovenMachines: true,
    transport: async (outgoing) => {
      sent.push(outgoing)
      return answer(outgoing)
    },
    ...rest,
  })
  return { router, routes, sent }
}

/** All values of a field, by lower-case name. */
export const values = (list: HeaderList, lower: string): string[] =>
  list.filter((_, at) => at % 2 === 1 && list[at - 1]!.toLowerCase() === lower)

/** What a machine's proxy restores of a field, by lower-case name. */
export const tunnelled = (list: HeaderList, lower: string): string[] => values(list, `x-iterate-proxy-fwd-${lower}`)

export const names = (list: HeaderList): string[] =>
  list.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase())
