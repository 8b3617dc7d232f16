/** A hundred tenants with machines on real sockets, and what a control plane does to their routes. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { RouteKey } from "../../src/router.ts"
import { DomainNotVerified } from "../../src/stores/memory.ts"
import type { AnyRegistry } from "../registry/engines.ts"

export const TENANTS = 100

/** What a machine answers: which one it is, and what it was sent. */
export interface Seen {
  readonly machine: string
  readonly target: string
  readonly cookie: string
}

/** All machines of a tenant, each a server of its own. */
const startMachines = (tenant: number) =>
  Promise.all(
    [0, 1].map(async (n) => {
      const machine = `mach_${tenant}x${n}`
      const server = createServer(({ headers }, response) => {
        const seen: Seen = {
          machine,
          target: String(headers["x-iterate-proxy-target-host"]),
          cookie: String(headers.cookie),
        }
        response.setHeader("x-iterate-proxy-stamp", "unproven")
        response.end(JSON.stringify(seen))
      })
      await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
      const close = () => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      }
      return { machine, port: (server.address() as AddressInfo).port, close }
    }),
  )

/** A domain that two tenants have in turn. */
export const shopOf = (tenant: number): string => `shop${tenant >> 1}.example.com`
export const domainOf = (tenant: number): string => `www.c${tenant}.example.com`
/** The tenants that ever have it. */
export const ownersOf = (tenant: number): readonly number[] => [tenant & ~1, tenant | 1]

/** What moves. A call that fails leaves its tenant as it may be: the next one reads it first. */
export class Tenants {
  readonly proofs = new Map<string, string[]>()
  /** How many names each tenant may have had, `t7-0` first. */
  readonly names: number[] = Array.from({ length: TENANTS }, () => 1)
  readonly #machines: Awaited<ReturnType<typeof startMachines>>[]
  #registry!: AnyRegistry

  private constructor(machines: Awaited<ReturnType<typeof startMachines>>[]) {
    this.#machines = machines
  }

  static async start(): Promise<Tenants> {
    const all = await Promise.all(Array.from({ length: TENANTS }, (_, tenant) => startMachines(tenant)))
    return new Tenants(all)
  }

  readonly resolveTxt = async (name: string): Promise<string[]> => this.proofs.get(name) ?? []

  async register(registry: AnyRegistry): Promise<void> {
    this.#registry = registry
    await Promise.all(
      this.#machines.map(async (machines, tenant) => {
        for (const { machine: id, port } of machines) {
          const metadata = { port, epoch: id }
          await registry.putMachine({
            id,
            type: "local",
            externalId: id,
            metadata,
            owner: `org_${tenant}`,
            visibility: "public",
          })
        }
        await this.#create(tenant)
        await this.verify(tenant, domainOf(tenant))
        if (tenant % 2 === 0) await this.verify(tenant, shopOf(tenant))
      }),
    )
  }

  async #create(tenant: number): Promise<void> {
    const { owner } = await this.#registry.readMachine(`mach_${tenant}x0`)
    const name = `t${tenant}-${this.names[tenant]! - 1}`
    const machine = `mach_${tenant}x0`
    await this.#registry.create({ name, owner: owner!, externalId: `x${tenant}`, machine, visibility: "public" })
  }

  /** As a tenant does that can change the domain's zone. */
  async #proven(run: () => Promise<unknown>): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await run()
        return
      } catch (error) {
        if (!(error instanceof DomainNotVerified) || attempt > 3) throw error
        this.proofs.set(error.proof.name, [...(this.proofs.get(error.proof.name) ?? []), error.proof.value])
      }
    }
  }

  async verify(tenant: number, domain: string): Promise<void> {
    const { id } = await this.#registry.read({ externalId: `x${tenant}` })
    await this.#registry.addDomain(id, domain)
    await this.#proven(() => this.#registry.verifyDomain(id, domain))
  }

  /** Moves something of a tenant. `choice` is from 0 up to 1. */
  async move(tenant: number, choice: number): Promise<void> {
    const registry = this.#registry
    const found = await registry.read({ externalId: `x${tenant}` }).catch((error: unknown) => {
      if ((error as { readonly _tag?: string })._tag !== "NotFound") throw error
    })
    if (found === undefined) {
      this.names[tenant]! += 1
      await this.#create(tenant)
      return
    }
    const { id, owner, machine, domains } = found
    const has = (domain: string) => domains.some((each) => each.hostname === domain && each.verified)
    const moves: (() => Promise<unknown>)[] = [
      () => registry.attach(id, machine === `mach_${tenant}x0` ? `mach_${tenant}x1` : `mach_${tenant}x0`),
      () => registry.attach(id, `mach_${tenant}x1`),
      () => (machine === undefined ? registry.attach(id, `mach_${tenant}x0`) : registry.detach(id)),
      async () => {
        this.names[tenant]! += 1
        await this.#proven(() => registry.rename(id, `t${tenant}-${this.names[tenant]! - 1}`))
      },
      () => this.#proven(() => registry.transfer(id, owner === `org_${tenant}` ? `org_${tenant}b` : `org_${tenant}`)),
      () => registry.remove(id),
      () =>
        has(domainOf(tenant)) ? registry.removeDomain(id, domainOf(tenant)) : this.verify(tenant, domainOf(tenant)),
      async () => {
        if (!has(shopOf(tenant))) return
        await registry.removeDomain(id, shopOf(tenant))
        await this.verify(
          ownersOf(tenant).find((each) => each !== tenant)!,
          shopOf(tenant),
        )
      },
      async () => {
        // Whoever is first has it; the other one is refused.
        if (!has(shopOf(tenant))) await this.verify(tenant, shopOf(tenant))
      },
    ]
    await moves[Math.floor(choice * moves.length)]!()
  }

  /** Every key that may lead anywhere. */
  keys(): RouteKey[] {
    return this.names.flatMap((count, tenant): RouteKey[] => [
      ...Array.from({ length: count }, (_, n): RouteKey => `p:t${tenant}-${n}`),
      `m:mach_${tenant}x0`,
      `m:mach_${tenant}x1`,
      `d:${domainOf(tenant)}`,
      `d:${shopOf(tenant)}`,
    ])
  }

  async close(): Promise<void> {
    await Promise.all(this.#machines.flat().map((each) => each.close()))
  }
}
