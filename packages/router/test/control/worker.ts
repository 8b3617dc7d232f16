// Bundled and run in workerd by workerd.test.ts: a router, and a control plane that withdraws.
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { defineAccess, portIndex } from "../../src/access.ts"
import { createRouter } from "../../src/router.ts"
import type { Policy, Router } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

export interface WorkerSetup {
  readonly machinePort: number
  readonly appPort: number
  readonly signingKey: SigningKey
}

const session: Policy = {
  name: "session",
  enforces: ["visibility"],
  onRoute: ({ header }) => {
    const subject = header("x-user")
    return subject === undefined
      ? undefined
      : { visitor: { subject, by: "session", id: `s-${subject}`, mayInspect: true } }
  },
}

const routerFor = ({ machinePort, appPort, signingKey }: WorkerSetup): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "local", externalId: "dev", metadata: { port: machinePort } },
        port: appPort,
        visibility: "private",
      },
    }),
    providers: [local()],
    signingKey,
    policies: [session, portIndex(defineAccess({ keys: [signingKey] }))],
  })

let router: Router | undefined

export default {
  async fetch(request: Request, { SETUP }: { readonly SETUP: WorkerSetup }): Promise<Response> {
    router ??= routerFor(SETUP)
    const response = await router.fetch(request)
    if (response !== undefined) return response
    // The control plane's own hostname.
    const sessions = new URL(request.url).searchParams.getAll("session")
    return Response.json(await router.withdraw("misha.iterate.app", { sessions }))
  },
}
