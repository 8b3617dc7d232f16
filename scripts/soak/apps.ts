/**
 * The apps of all tenants, in one process: each listens on its machine's own loopback address and on the same port, so that what tells
 * two machines apart is never the port. A hostile one is a raw socket.
 */
import { once } from "node:events"
import { createServer as createHttpServer } from "node:http"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { chosenResponse, serveHostile } from "../../test/abuse/hostile-root.ts"
import { respond, upgrade } from "./honest-app.ts"
import { appRequests } from "./app-requests.ts"
import { serveParent, givenSetup } from "./process.ts"
import type { Tenant } from "./tenant.ts"

/** What the apps have to know. */
export interface AppsSetup {
  readonly tenants: readonly Tenant[]
  /** How many tokens there will be. */
  readonly requests: number
  /** Default: any. */
  readonly port?: number
}

const { tenants, requests, port: given = 0 } = givenSetup() as AppsSetup
const seen = appRequests(requests)

const hostile = (tenant: Tenant): Server =>
  createServer(
    { noDelay: true, allowHalfOpen: true },
    serveHostile({
      mark: tenant.name,
      choose: chosenResponse,
      onRequest: ({ method, target, token }) => seen.count(tenant, method, target, token),
    }),
  )

let port = given
for (const tenant of tenants) {
  const server =
    tenant.role === "hostile-app"
      ? hostile(tenant)
      : createHttpServer({ keepAliveTimeout: 10_000 }, respond(tenant, seen.count)).on(
          "upgrade",
          upgrade(tenant, seen.count),
        )
  server.listen({ port, host: tenant.loopback, backlog: 4_096 })
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
}
serveParent({ port }, () => seen.report)
