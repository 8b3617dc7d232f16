import { afterAll, beforeAll, describe, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { caddyFront } from "../../src/caddy-front.ts"
import type { FrontOutcome, FrontRequest } from "../../src/testing/fronts/front-case.ts"
import { frontSuite } from "../../src/testing/fronts/front-suite.ts"
import { checkReport } from "../fronts/check-report.ts"
import { openTargets } from "../fronts/targets.ts"
import { sendTo } from "../fronts/visitor.ts"
import { applyTo } from "./apply.ts"
import { inputOf } from "./ingresses.ts"
import { caddyBinary, NO_CADDY, startCaddy } from "./real-caddy.ts"
import type { RealCaddy } from "./real-caddy.ts"

const targets = await openTargets(["a", "b", "c"])
let caddy: RealCaddy | undefined
beforeAll(async () => {
  if (caddyBinary !== undefined) caddy = await startCaddy()
})
afterAll(async () => Promise.all([caddy?.stop(), targets.close()]))

const HTTP_ALONE = "needs a plugin"

describe.skipIf(caddyBinary === undefined)(`Caddy as a front${caddyBinary ? "" : `: ${NO_CADDY}`}`, () => {
  const report = frontSuite(it, {
    url: targets.url,
    open: async (ingresses) => {
      // New ports for each feature: where Caddy listens already, a change resets connections that wait.
      const [plain, other, secure] = [await freePort(), await freePort(), await freePort()]
      const front = caddyFront({
        admin: caddy!.admin,
        export: {
          listenAddress: "127.0.0.1",
          publicPorts: { [plain]: 80, [other]: 8080, [secure]: 443 },
          certificates: { issuer: "internal" },
        },
      })
      await applyTo(front, inputOf(ingresses))
      const send = (request: FrontRequest) => sendTo(request, { 80: plain, 8080: other, 443: secure })
      return { ask: (request) => (request.tls === true ? certified(() => send(request)) : send(request)) }
    },
    skip: { TcpByPort: HTTP_ALONE, TlsPassthrough: HTTP_ALONE, UdpByPort: HTTP_ALONE },
  })
  checkReport(it, "caddy", report)
})

/** Certificates are made after a configuration has been taken; until then handshakes fail. */
const certified = async (send: () => Promise<FrontOutcome>): Promise<FrontOutcome> => {
  for (let left = 200; ; left -= 1) {
    try {
      return await send()
    } catch (error) {
      if (left === 0) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
