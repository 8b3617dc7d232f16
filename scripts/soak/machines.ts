/** The machine proxies of all tenants, in one process; a hostile root listens in the place of its own. */
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import type { MachineKey, PortUse } from "../../packages/forward/src/forward.ts"
import { secretOfKey } from "../../packages/forward/src/machine-secret.ts"
import { stampOf } from "../../packages/forward/src/stamp.ts"
import { createMachineProxy } from "../../packages/machine-proxy/src/machine-proxy.ts"
import { chosenResponse, serveHostile } from "../../test/abuse/hostile-root.ts"
import type { SeenRequest } from "../../test/abuse/hostile-root.ts"
import type { Tenant } from "./tenant.ts"
import { serveParent, givenSetup } from "./process.ts"

/** What the machine proxies have to know. */
export interface MachinesSetup {
  readonly tenants: readonly Tenant[]
  /** That of each tenant's machine. */
  readonly keys: readonly MachineKey[]
  /** The port of every app; no machine proxy may have it, or it would take a request for one to itself. */
  readonly appPort: number
  readonly maxConnections: number
  /** Default: any. */
  readonly ports?: readonly number[]
}

/** As root it has its machine's secret, and can stamp whatever it likes to say. */
const stampOfRoot =
  (key: MachineKey, machine: string) =>
  async ({ head }: SeenRequest): Promise<string> => {
    const payload = /^x-iterate-proxy-ticket: *[^.]+\.([^.]+)\./im.exec(head)?.[1] ?? ""
    if (payload === "") return "unproven"
    const { jti, port, name } = JSON.parse(Buffer.from(payload, "base64url").toString()) as PortUse & {
      readonly jti: string
    }
    return stampOf((await secretOfKey(key, machine))!, "response", { machine, id: jti, port, name })
  }

const { tenants, keys, appPort, maxConnections, ports: given } = givenSetup() as MachinesSetup
const ports = await Promise.all(
  tenants.map(async ({ index, machine, role, loopback, name }) => {
    const hostile = serveHostile({ mark: name, stamp: stampOfRoot(keys[index]!, machine), choose: chosenResponse })
    const proxy = createMachineProxy({ machine, keys: [keys[index]!], loopback, limits: { maxConnections } })
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
