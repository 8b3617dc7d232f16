import { randomBytes } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "@project-ingress/router"
import { defineAccess, signIn } from "@project-ingress/router/access"
import { serveNode } from "@project-ingress/router/node"
import { authorize, visibility } from "@project-ingress/router/policies"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { controlPlane } from "./control-plane.ts"

/** A running platform on this computer. */
export interface Platform extends AsyncDisposable {
  /** The control plane: `http://localhost:<port>`. */
  readonly origin: string
  /** A private port of project misha. */
  readonly app: string
  /** Makes a user who is a member of project misha. Signing up by better-auth's own path makes nobody a member. */
  readonly addMember: (email: string, password: string) => Promise<{ readonly id: string }>
}

/** One port of this computer: `localhost` is the control plane, everything below it is projects. `port` 0: any free one. */
export const startPlatform = async (port: number): Promise<Platform> => {
  const app = createServer((request, response) => {
    response.setHeader("content-type", "text/html")
    response.end(`<title>app</title><p>${request.headers.cookie ?? "no cookies"}`)
  })
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve))
  const appPort = (app.address() as AddressInfo).port

  const { signing } = await generateTicketKeys("example")
  const grammar = defineGrammar({ domains: ["localhost"], separator: "--" })
  const machine = {
    id: "mach_1",
    type: "upstream",
    externalId: "app",
    metadata: { origin: `http://127.0.0.1:${appPort}` },
  }
  const store = memoryStore({ "p:misha": { machine, visibility: "private" } })
  const access = defineAccess({ keys: [signing] })

  const listened = await freePort(port)
  const members = new Set<string>()
  const origin = `http://localhost:${listened}`
  const people = signIn(access, { grammar, controlPlane: origin })
  const router = createRouter({
    grammar,
    store,
    providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })],
    signingKey: signing,
    policies: [
      people.policy,
      visibility({ grammar, signIn: people }),
      authorize(({ subject }) => members.has(subject)),
    ],
  })
  const { auth, fetch } = controlPlane({ access, grammar, store, origin, secret: randomBytes(32).toString("hex") })
  const listening = await serveNode(router, { fallback: fetch }).listen({ hostname: "127.0.0.1", port: listened })
  return {
    origin,
    app: `http://8000--misha.localhost:${listened}`,
    addMember: async (email, password) => {
      const { user } = await auth.api.signUpEmail({ body: { email, password, name: email } })
      members.add(user.id)
      return user
    },
    [Symbol.asyncDispose]: async () => {
      await listening.close({ deadlineMs: 0 })
      await router.dispose()
      app.closeAllConnections()
      app.close()
    },
  }
}

/** Both sides of the bridge know the port before anybody listens there. */
const freePort = async (port: number): Promise<number> => {
  if (port !== 0) return port
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const found = (server.address() as AddressInfo).port
  await new Promise((closed) => server.close(closed))
  return found
}
