/** The chain that a soak runs through: client → router → machine proxy of the tenant → app of the tenant, in three processes. */
import { generateTicketKeys, signTicket } from "../../packages/forward/src/forward.ts"
import type { AppsReport, AppsSetup } from "./apps.ts"
import type { MachinesSetup } from "./machines.ts"
import { startProcess } from "./process.ts"
import type { ChainProcess } from "./process.ts"
import type { RouterSetup } from "./router.ts"
import type { Tenant } from "./tenant.ts"

/** A running chain. */
export interface SoakChain extends AsyncDisposable {
  readonly routerPort: number
  readonly appPort: number
  /** Where the machine proxy of each tenant listens. */
  readonly machinePorts: readonly number[]
  readonly processes: readonly ChainProcess<unknown>[]
  /** A true ticket for a machine. */
  readonly ticketFor: (machine: string) => Promise<string>
  /** The bytes of the key that verifies tickets. */
  readonly publicKey: Buffer
  readonly appsReport: () => Promise<AppsReport>
}

// The tests' own connections come on top of what is asked for.
const MAX_CONNECTIONS = 20_000

/**
 * Starts all of it. `requests`: how many tokens there will be. `between` puts something before the machine proxies, whose ports it
 * gets, and says where the router finds them then.
 */
export const startSoakChain = async (
  tenants: readonly Tenant[],
  requests: number,
  between: (machinePorts: readonly number[]) => Promise<readonly number[]> = async (ports) => ports,
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
    const apps = await start<{ readonly port: number }>("apps", { tenants, requests } satisfies AppsSetup)
    const machines = await start<{ readonly ports: readonly number[] }>("machines", {
      tenants,
      verificationKey,
      appPort: apps.ready.port,
      maxConnections: MAX_CONNECTIONS,
    } satisfies MachinesSetup)
    const router = await start<{ readonly port: number }>("router", {
      tenants,
      machinePorts: await between(machines.ready.ports),
      signingKey,
      maxConnections: MAX_CONNECTIONS,
    } satisfies RouterSetup)
    return {
      routerPort: router.ready.port,
      appPort: apps.ready.port,
      machinePorts: machines.ready.ports,
      processes: started,
      ticketFor: (machine) => signTicket(signingKey, { machine }),
      publicKey: Buffer.from(verificationKey.x, "base64url"),
      appsReport: () => apps.ask("report"),
      [Symbol.asyncDispose]: dispose,
    }
  } catch (cause) {
    await dispose()
    throw cause
  }
}
