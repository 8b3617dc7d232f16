/** The machine proxies of all tenants, in one process; a hostile root listens in the place of its own. */
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import type { VerificationKey } from "../../packages/forward/src/forward.ts"
import { createMachineProxy } from "../../packages/machine-proxy/src/machine-proxy.ts"
import { chosenResponse, serveHostile } from "../../test/abuse/hostile-root.ts"
import type { Tenant } from "./tenant.ts"
import { serveParent, givenSetup } from "./process.ts"

/** What the machine proxies have to know. */
export interface MachinesSetup {
  readonly tenants: readonly Tenant[]
  readonly verificationKey: VerificationKey
  /** The port of every app; no machine proxy may have it, or it would take a request for one to itself. */
  readonly appPort: number
  readonly maxConnections: number
  /** Default: any. */
  readonly ports?: readonly number[]
}

const { tenants, verificationKey, appPort, maxConnections, ports: given } = givenSetup() as MachinesSetup
const ports = await Promise.all(
  tenants.map(async ({ index, machine, role, loopback, name }) => {
    const hostile = serveHostile({ mark: name, stamp: () => "1", choose: chosenResponse })
    const proxy = createMachineProxy({ machine, keys: [verificationKey], loopback, limits: { maxConnections } })
    const server = createServer(
      { noDelay: true, allowHalfOpen: true },
      role === "hostile-root" ? hostile : proxy.connection,
    )
    for (;;) {
      server.listen({ port: given?.[index] ?? 0, host: "127.0.0.1", backlog: 4_096 })
      await once(server, "listening")
      const { port } = server.address() as AddressInfo
      if (port !== appPort) return port
      server.close()
      await once(server, "close")
    }
  }),
)
serveParent({ ports })
