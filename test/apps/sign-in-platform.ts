/** A router on Node behind TLS with private ports, a control plane with a login, and an app; for a real browser. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage } from "node:http"
import type { AddressInfo, Server } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { defineAccess, signIn, signInHandler } from "@project-ingress/router/access"
import { serveNode } from "@project-ingress/router/node"
import { authorize, visibility } from "@project-ingress/router/policies"
import { createRouter } from "@project-ingress/router"
import type { RouterEvent } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"
import type { MachineInput, MemoryStore } from "@project-ingress/router/stores/memory"
import { selfSigned } from "./certificate.ts"

/** What a service worker of the app does with what it sees: passes it on, or asks again by URL. It tells its pages all URLs. */
const serviceWorker = (passesOn: boolean): string => `
const seen = []
self.addEventListener("install", () => self.skipWaiting())
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()))
self.addEventListener("message", (event) => event.source.postMessage(seen))
self.addEventListener("fetch", (event) => {
  seen.push(event.request.url)
  event.respondWith(fetch(${passesOn ? "event.request" : "event.request.url"}))
})`

/** The app on every port: its title is the `Cookie` field, its paths are what a hostile app would have. */
const appResponse = (request: IncomingMessage): { readonly type: string; readonly body: string } => {
  if (request.url === "/sw.js") return { type: "text/javascript", body: serviceWorker(true) }
  if (request.url === "/greedy.js") return { type: "text/javascript", body: serviceWorker(false) }
  return { type: "text/html", body: `<title>${request.headers.cookie ?? "none"}</title><p>${request.url}</p>` }
}

export interface Platform extends AsyncDisposable {
  readonly store: MemoryStore
  readonly events: readonly RouterEvent[]
  /** Requests at the app under the prefix, which must not come. */
  readonly strays: readonly string[]
  readonly browserArguments: readonly string[]
  readonly record: (owner: string) => MachineInput
}

const login = `<!doctype html><title>Login</title><form method="post"><button>Sign in as Ann</button></form>`

/** Starts all of it: `misha` and `eve`, which is public, under `ingress.test`, `www.custom.test` of misha's owner, `control.test`. */
export const startPlatform = async (separator: "--" | "."): Promise<Platform> => {
  const names = ["*.ingress.test", "*.misha.ingress.test", "*.eve.ingress.test", "*.custom.test", "control.test"]
  const tls = await selfSigned(names)
  const reached: IncomingMessage[] = []
  const app = createServer((request, response) => {
    reached.push(request)
    const { type, body } = appResponse(request)
    response.writeHead(200, { "content-type": type, "x-iterate-proxy-stamp": "unproven" }).end(body)
  })
  const metadata = { port: await listen(app) }
  const record = (owner: string, visibility: "private" | "public" = "private"): MachineInput => ({
    machine: { id: `mach_${owner}`, type: "local", externalId: owner, metadata },
    owner,
    visibility,
  })
  const store = memoryStore({
    "p:misha": record("ann"),
    "p:eve": record("eve", "public"),
    "d:www.custom.test": record("ann"),
  })
  const grammar = defineGrammar({ domains: ["ingress.test"], separator })
  const { signing } = await generateTicketKeys("sign-in")
  const access = defineAccess({ keys: [signing] })
  const people = signIn(access, { grammar, controlPlane: "https://control.test" })
  const events: RouterEvent[] = []
  const router = createRouter({
    grammar,
    store,
    providers: [local()],
    signingKey: signing,
    unprovenMachines: true,
    policies: [
      people.policy,
      visibility({ grammar, signIn: people }),
      authorize(({ subject }, { record }) => record.owner === subject),
    ],
    onEvent: (event) => events.push(event),
  })
  const bridge = signInHandler(access, {
    grammar,
    store,
    getUser: (request) => (/user=(\w+)/.exec(request.headers.get("cookie") ?? "") ? { id: "ann" } : undefined),
    loginUrl: "/login",
  })
  const controlPlane = async (request: Request): Promise<Response> => {
    const bridged = await bridge(request)
    if (bridged !== undefined) return bridged
    const { searchParams } = new URL(request.url)
    if (request.method !== "POST") return new Response(login, { headers: { "content-type": "text/html" } })
    const headers = { location: searchParams.get("redirectUrl") ?? "/", "set-cookie": "user=ann; HttpOnly; Secure" }
    return new Response(null, { status: 303, headers })
  }
  const sockets = serveNode(router, { fallback: controlPlane })
  const front = createTlsServer({ key: tls.key, cert: tls.cert, noDelay: true }, sockets.connection)
  const port = await listen(front)
  return {
    store,
    events,
    get strays() {
      return reached.map(({ url }) => url ?? "").filter((url) => url.startsWith("/_/"))
    },
    record,
    browserArguments: [
      `--host-resolver-rules=MAP *:443 127.0.0.1:${port}`,
      `--ignore-certificate-errors-spki-list=${tls.spki}`,
    ],
    [Symbol.asyncDispose]: async () => {
      front.close()
      app.closeAllConnections()
      app.close()
      await sockets.drain({ deadlineMs: 0 })
      await router.dispose()
    },
  }
}

const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}
