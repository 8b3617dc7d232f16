import { createServer as createTlsServer } from "node:tls"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { allowCidrs, requireHeader, responseHeaders } from "@project-ingress/router/policies"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { afterAll, describe, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { ingressStore } from "../../src/routes/ingress-store.ts"
import { frontSuite } from "../../src/testing/fronts/front-suite.ts"
import { checkReport } from "../fronts/check-report.ts"
import { openTargets } from "../fronts/targets.ts"
import { sendTo, selfSigned } from "../fronts/visitor.ts"

const keys = await generateTicketKeys("test")
const grammar = defineGrammar({ domains: ["iterate.app"] })
const targets = await openTargets(["a", "b", "c"])
afterAll(() => targets.close())
const certificate = selfSigned()

describe("the router as a front", () => {
  const report = frontSuite(it, {
    url: targets.url,
    open: async (ingresses) => {
      const [plain, other, secure] = [await freePort(), await freePort(), await freePort()]
      const publicPorts = { [plain]: 80, [other]: 8080, [secure]: 443 }
      const view = { revision: 1, ingresses, grants: [] }
      const router = createRouter({
        grammar,
        store: ingressStore({ grammar, view: () => view, inner: memoryStore(), publicPorts }),
        providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })],
        signingKey: keys.signing,
        policies: [allowCidrs(), requireHeader(), responseHeaders()],
      })
      const host = serveNode(router, { fallback: () => new Response("not ours", { status: 404 }) })
      const listeners = await Promise.all([
        host.listen({ port: plain, hostname: "127.0.0.1" }),
        host.listen({ port: other, hostname: "127.0.0.1" }),
        host.listen({ port: secure, hostname: "127.0.0.1", tls: createTlsServer(certificate) }),
      ])
      return {
        ask: (request) => sendTo(request, { 80: plain, 8080: other, 443: secure }),
        close: async () => {
          await listeners[0].close({ deadlineMs: 100, graceMs: 0 })
          await router.dispose()
        },
      }
    },
    skip: {
      TcpByPort: "the router takes HTTP alone",
      TlsPassthrough: "the router takes HTTP alone",
      UdpByPort: "the router takes HTTP alone",
    },
  })
  checkReport(it, "router", report)
})
