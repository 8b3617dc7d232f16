/** What the conformance suite is given for the adapters of this package. */
import { generateTicketKeys } from "@project-ingress/forward"
import type { TicketKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { local } from "../src/local.ts"
import type { Machine, MachineProvider } from "../src/machine-provider.ts"
import { startMachine } from "../src/testing.ts"
import type { Fixture, ProcessMachine } from "../src/testing.ts"
import { url } from "../src/url.ts"

/** Two machines of this process with one port number for their apps, told apart by their tickets alone. */
export const twoMachines = async (): Promise<{
  readonly a: ProcessMachine
  readonly b: ProcessMachine
  readonly signing: TicketKey
  readonly close: () => Promise<void>
}> => {
  const { signing, verification } = await generateTicketKeys("conformance")
  const serve = ({ machine, loopback }: { readonly machine: string; readonly loopback: string }) =>
    createMachineProxy({ machine, loopback, keys: [verification] }).connection
  const a = await startMachine({ id: "mach_a", serve })
  const b = await startMachine({ id: "mach_b", serve, loopback: "::1", appPort: a.appPort })
  return { a, b, signing, close: async () => void (await Promise.all([a.close(), b.close()])) }
}

/** A machine's address as a `Machine` of an adapter whose records hold it, with all that can be done to such a machine. */
const addressed = async (
  provider: MachineProvider,
  metadataOf: (machine: ProcessMachine) => Machine["metadata"],
  wrongMetadata: Readonly<Record<string, Machine["metadata"]>>,
): Promise<Fixture & { readonly close: () => Promise<void> }> => {
  const { a, b, signing, close } = await twoMachines()
  const record = (machine: ProcessMachine, metadata = metadataOf(machine)): Machine => ({
    id: machine.id,
    type: provider.type,
    externalId: machine.id,
    metadata,
  })
  return {
    provider,
    machine: record(a),
    get other() {
      return record(b)
    },
    port: a.appPort,
    signing,
    wrong: Object.fromEntries(Object.entries(wrongMetadata).map(([field, metadata]) => [field, record(a, metadata)])),
    stop: () => a.stop(),
    restart: async () => {
      await a.start()
      return record(a)
    },
    swap: async () => {
      const { port } = a
      await a.stop()
      await b.start(port)
      await a.start()
      return record(a)
    },
    close,
  }
}

export const localFixture = (): ReturnType<typeof addressed> =>
  addressed(local(), ({ port, bootId }) => ({ port, epoch: bootId }), {
    port: { port: "not-a-port" },
    host: { port: 8080, host: "user@host/path" },
    epoch: { port: 8080, epoch: 7 },
  })

export const urlFixture = async (): ReturnType<typeof addressed> => {
  const secret = "url-canary-77aa01"
  const fixture = await addressed(
    url({ headers: { "x-front-door": secret } }),
    ({ port, bootId }) => ({ origin: `http://127.0.0.1:${port}`, epoch: bootId }),
    {
      origin: { origin: "https://user:password@office.example.com/path" },
      epoch: { origin: "https://x.test", epoch: 7 },
    },
  )
  return Object.defineProperty(fixture, "secrets", { value: [secret], enumerable: true })
}
