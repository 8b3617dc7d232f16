import { defineGrammar } from "@project-ingress/hostname"
import { postgresRegistry } from "../src/stores/postgres.ts"
import type { SqlRegistry } from "../src/stores/postgres.ts"
import { tableStore } from "../src/stores/table.ts"
import { openPg } from "../test/registry/pg-driver.ts"
import { noPostgres, startPostgres } from "../test/registry/postgres-server.ts"

const ATTACHES = 500
const MACHINES = 20

/**
 * How soon an attach is seen, in ms: by a registry with its own connections, in this process, through LISTEN. Why it cannot be measured
 * where no Postgres is installed.
 */
export const measureVisibility = async (): Promise<Record<string, number> | string> => {
  if (noPostgres !== "") return noPostgres
  const server = await startPostgres()
  const ends: (() => Promise<unknown>)[] = []
  const open = (): SqlRegistry => {
    const { pool, driver } = openPg(server, 4)
    const registry = postgresRegistry({
      grammar: defineGrammar({ domains: ["iterate.app"] }),
      // What is seen was notified.
      pollMs: 60_000,
      ...driver,
    })
    ends.push(
      async () => registry.dispose?.(),
      () => pool.end(),
    )
    return registry
  }

  const control = open()
  await control.migrate()
  for (let at = 0; at < MACHINES; at++)
    await control.putMachine({ id: `mach_${at}`, type: "fake", externalId: `${at}`, metadata: {} })
  await control.create({ name: "misha", machine: "mach_0" })
  const store = tableStore(open())
  await store.waitUntilLoaded()
  const sees = (machine: string): boolean => {
    const found = store.get("p:misha")
    if (!("status" in found)) throw new Error("the table is asked for what it has")
    return found.status === "hit" && found.record.kind === "machine" && found.record.machine.id === machine
  }
  const waits: number[] = []
  const afterwards: number[] = []
  for (let at = 1; at <= ATTACHES; at++) {
    const machine = `mach_${at % MACHINES}`
    const began = performance.now()
    let committed: number | undefined
    const attaching = control.attach("misha", machine).then(() => (committed = performance.now()))
    while (!sees(machine)) await new Promise((resolve) => void setImmediate(resolve))
    const now = performance.now()
    waits.push(now - began)
    await attaching
    afterwards.push(Math.max(0, now - committed!))
  }
  store.dispose()
  for (const end of ends) await end()
  await server.close()
  const at = (values: readonly number[], share: number): number =>
    values.toSorted((one, other) => one - other)[Math.floor(values.length * share)]!
  return {
    "attach to visible, p50 ms": at(waits, 0.5),
    "attach to visible, p99 ms": at(waits, 0.99),
    "after attach resolved, p50 ms": at(afterwards, 0.5),
    "after attach resolved, p99 ms": at(afterwards, 0.99),
  }
}
