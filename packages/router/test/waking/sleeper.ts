/** A provider of machines that sleep until they are started, and a router in front of them. */
import { MachineNotRunning } from "@project-ingress/providers"
import type { Endpoint, Machine, MachineProvider } from "@project-ingress/providers"
import type { RouterOptions } from "../../src/router.ts"
import { fake, machine, setup } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"

/** What {@link sleepers} takes. */
export interface Sleepers {
  readonly provider?: Partial<MachineProvider>
  readonly options?: Partial<RouterOptions>
  readonly endpoint?: Partial<Endpoint>
  readonly answer?: (outgoing: Outgoing) => Response | Promise<Response>
}

const header = (name: string) => (name === "x-iterate-proxy-stamp" ? "1" : undefined)

/** Every machine sleeps until `start` of its own. `misha` is attached to `mach_1`. */
export const sleepers = ({ provider = {}, options = {}, endpoint, answer }: Sleepers = {}) => {
  const starts: string[] = []
  const running = new Set<string>()
  const isUp = ({ externalId }: Machine): boolean => running.has(externalId)
  const asleep = ({ type, externalId }: Machine) =>
    new MachineNotRunning({ provider: type, machine: externalId, state: "stopped" })
  const { router, routes, sent } = setup({
    ...(answer === undefined ? {} : { answer }),
    ...options,
    providers: [
      fake({
        resolve: async (of) => {
          if (!isUp(of)) throw asleep(of)
          return { origin: `http://${of.externalId.replaceAll("_", "-")}.test`, epoch: "1", ttlMs: 0, ...endpoint }
        },
        ...provider,
        capabilities: {
          runtimes: ["node"],
          webSocket: true,
          wake: "start",
          ports: "any",
          interceptedHeaders: [],
          ...provider.capabilities,
        },
        start: async (of, given) => {
          starts.push(of.externalId)
          await provider.start?.(of, given)
          running.add(of.externalId)
        },
      }),
    ],
    machines: { readinessProbe: async () => ({ status: 401, header }), ...options.machines },
  })
  const ask = async (init: RequestInit & { readonly host?: string } = {}): Promise<Response> => {
    const { host = "misha.iterate.app", ...rest } = init
    return (await router.fetch(new Request(`http://${host}/`, rest)))!
  }
  return { router, routes, sent, starts, running, ask, machine }
}

/** What a browser sends with a navigation. */
export const navigation = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", accept: "text/html,*/*;q=0.8" }

export const codeOf = (response: Response): readonly [number, string | null] => [
  response.status,
  response.headers.get("x-iterate-proxy-error"),
]
