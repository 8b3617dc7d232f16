// Bundled and run in workerd by sign-in-hosts.test.ts: a router and a control plane in one Worker, whose machine says which cookies it got.
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { defineAccess, signIn, signInHandler } from "../../src/access.ts"
import { authorize, visibility } from "../../src/policies.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

interface Environment {
  readonly SIGNING_KEY: SigningKey
}

const machine = { id: "mach_1", type: "fake", externalId: "mach_1", metadata: {} }

const platform = ({ SIGNING_KEY }: Environment) => {
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const access = defineAccess({ keys: [SIGNING_KEY] })
  const people = signIn(access, { grammar, controlPlane: "http://localhost" })
  const store = memoryStore({
    "p:misha": { machine, owner: "ann", visibility: "private" },
    "d:www.example.com": { machine, owner: "ann", visibility: "private" },
    "p:eve": { machine, owner: "eve", visibility: "private" },
  })
  const router = createRouter({
    grammar,
    store,
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 60_000 }),
      },
    ],
    transport: async ({ headers }) => {
      const cookies = headers.filter((_, at) => at % 2 === 1 && headers[at - 1]!.toLowerCase() === "cookie")
      const answer = new Headers({ "x-iterate-proxy-stamp": "unproven" })
      for (const name of ["__Host-ingress-session", "__Host-ingress-state-aaaaaaaa", "__Http-ingress-session", "own"])
        answer.append("set-cookie", `${name}=evil; Path=/; Secure`)
      return new Response(JSON.stringify(cookies), { headers: answer })
    },
    signingKey: SIGNING_KEY,
    unprovenMachines: true,
    policies: [
      people.policy,
      visibility({ grammar, signIn: people }),
      authorize(({ subject }, { record }) => record.owner === subject),
    ],
  })
  const getUser = (request: Request) =>
    request.headers.get("cookie")?.includes("session=ann") === true ? { id: "ann" } : undefined
  const bridge = signInHandler(access, { grammar, store, scheme: "http", getUser, loginUrl: "/login" })
  return async (request: Request): Promise<Response> =>
    (await bridge(request)) ?? (await router.fetch(request)) ?? new Response("not ours", { status: 404 })
}

let respond: ReturnType<typeof platform> | undefined

export default {
  fetch: (request: Request, env: Environment): Promise<Response> => (respond ??= platform(env))(request),
}
