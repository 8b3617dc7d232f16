/** The chain that a soak runs through: client → router → machine proxy of the tenant → app of the tenant, in three processes. */
import { generateTicketKeys, machineKey, signTicket } from "../../packages/forward/src/forward.ts"
import { selfSigned } from "../../test/apps/certificate.ts"
import type { AppsReport } from "./app-requests.ts"
import type { AppsSetup } from "./apps.ts"
import type { MachinesSetup } from "./machines.ts"
import { startProcess } from "./process.ts"
import type { ChainProcess } from "./process.ts"
import type { RouterSetup } from "./router.ts"
import { DOMAIN, serversOwn } from "./tenant.ts"
import type { Tenant, WayIn } from "./tenant.ts"

/** A running chain. */
export interface SoakChain extends AsyncDisposable {
  readonly by: WayIn
  /** Those that there is traffic for: of `mount`, the server's own app among them. */
  readonly tenants: readonly Tenant[]
  readonly routerPort: number
  readonly appPort: number
  /** Where the machine proxy of each tenant listens. */
  readonly machinePorts: readonly number[]
  readonly processes: readonly ChainProcess<unknown>[]
  /** A true ticket for the port of a tenant's app, under its name. */
  readonly ticketFor: (tenant: Tenant) => Promise<string>
  /** The bytes of the key that verifies tickets. */
  readonly publicKey: Buffer
  /** Kills one of the processes, and starts it again at the same place. */
  readonly restart: (name: "router" | "machines" | "apps") => Promise<void>
  readonly appsReport: () => Promise<AppsReport>
}

// The tests' own connections come on top of what is asked for.
const MAX_CONNECTIONS = 20_000

/**
 * Starts all of it. `requests`: how many tokens there will be. `between` puts something before the machine proxies, whose ports it
 * gets, and says where the router finds them then. `by`: how requests come to the router.
 */
export const startSoakChain = async (
  tenants: readonly Tenant[],
  requests: number,
  {
    between = async (ports) => ports,
    by = "sockets",
  }: {
    readonly between?: (machinePorts: readonly number[]) => Promise<readonly number[]>
    readonly by?: WayIn
  } = {},
): Promise<SoakChain> => {
  const { signing: signingKey, verification: verificationKey } = await generateTicketKeys("soak")
  const started: ChainProcess<unknown>[] = []
  const start = async <Ready>(name: string, setup: unknown): Promise<ChainProcess<Ready>> => {
    const process = await startProcess<Ready>(name, setup)
    started.unshift(process)
    return process
  }
  const dispose = async () => void (await Promise.all(started.map((process) => process[Symbol.asyncDispose]())))
  try {
    const appsSetup: AppsSetup = { tenants, requests }
    const apps = await start<{ readonly port: number }>("apps", appsSetup)
    const appPort = apps.ready.port
    const keys = await Promise.all(tenants.map(({ machine }) => machineKey(signingKey, machine)))
    const machinesSetup: MachinesSetup = { tenants, keys, appPort, maxConnections: MAX_CONNECTIONS }
    const machines = await start<{ readonly ports: readonly number[] }>("machines", machinesSetup)
    const machinePorts = machines.ready.ports
    const all = by === "mount" ? [...tenants, serversOwn(tenants.length)] : tenants
    const routerSetup: RouterSetup = {
      tenants: all,
      machinePorts: await between(machinePorts),
      signingKey,
      maxConnections: MAX_CONNECTIONS,
      requests,
      by,
      ...(by === "http2" ? { certificate: await selfSigned([`*.${DOMAIN}`]) } : {}),
    }
    const router = await start<{ readonly port: number }>("router", routerSetup)
    const again = {
      apps: { ...appsSetup, port: appPort },
      machines: { ...machinesSetup, ports: machinePorts },
      router: { ...routerSetup, port: router.ready.port },
    }
    return {
      by,
      tenants: all,
      routerPort: router.ready.port,
      appPort,
      machinePorts,
      processes: started,
      restart: async (name) => {
        const at = started.findIndex((process) => process.name === name)
        await started[at]![Symbol.asyncDispose]()
        started[at] = await startProcess(name, again[name])
      },
      ticketFor: ({ machine, name }) => signTicket(signingKey, { machine, port: appPort, name: `${name}.${DOMAIN}` }),
      publicKey: Buffer.from(verificationKey.x, "base64url"),
      appsReport: async () => {
        const reports: AppsReport[] = []
        for (const { name, ask } of started) if (name === "apps" || name === "router") reports.push(await ask("report"))
        const sum = (of: keyof AppsReport) => reports.reduce((total, report) => total + report[of], 0)
        return { seen: sum("seen"), strayed: sum("strayed"), repeated: sum("repeated"), smuggled: sum("smuggled") }
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (cause) {
    await dispose()
    throw cause
  }
}
