import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { relay } from "@project-ingress/providers/relay"
import type { RelayNamespace } from "@project-ingress/providers/relay"
import { acceptMachines, RelayObject } from "@project-ingress/providers/relay/object"
import type { RelayState } from "@project-ingress/providers/relay/object"
import { createRouter } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"

interface Env {
  readonly DOMAIN: string
  readonly SIGNING_KEY: string
  readonly RELAY: RelayNamespace
}

const signingKeyOf = (env: Env): SigningKey => JSON.parse(env.SIGNING_KEY) as SigningKey

/** One object for each machine, named after it. */
export class Relay extends RelayObject {
  constructor(state: RelayState, env: Env) {
    super(state, {
      signingKeys: [signingKeyOf(env)],
      // oxlint-disable-next-line no-console -- a Worker's log
      onEvent: (event) => console.log(JSON.stringify(event)),
    })
  }
}

const platformOf = (env: Env) => {
  const store = memoryStore()
  // `externalId` is the machine's id, by which it connects: INGRESS_MACHINE.
  const office = { id: "mach_office", type: "relay", externalId: "mach_office", metadata: {} }
  store.attach("p:office", { machine: office })
  const router = createRouter({
    grammar: defineGrammar({ domains: [env.DOMAIN] }),
    store,
    providers: [relay(env.RELAY)],
    signingKey: signingKeyOf(env),
  })
  return { router, machines: acceptMachines(env.RELAY, [signingKeyOf(env)]) }
}

let platform: ReturnType<typeof platformOf> | undefined

export default {
  async fetch(request: Request, env: Env, context: { waitUntil(work: Promise<unknown>): void }): Promise<Response> {
    platform ??= platformOf(env)
    const { hostname, pathname } = new URL(request.url)
    // Machines connect at a host of their own. On a computer without DNS, the address of this Worker itself is that host.
    if (hostname === `relay.${env.DOMAIN}` || pathname.startsWith("/__relay/")) return platform.machines(request)
    return (await platform.router.fetch(request, context)) ?? new Response("no project\n", { status: 404 })
  },
}
