/** What the conformance suite is given for adapters that need no vendor: machines of the process itself, on Node, Bun and Deno. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { createMachineProxy, machineTls } from "../../machine-proxy/src/machine-proxy.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { startMachine } from "../src/testing.ts"
import type { ProcessMachine } from "../src/testing.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { fixtureSocket } from "./fixture-socket.ts"

/**
 * Two machines of this process with one port number for their apps, told apart by their tickets, and with `keyFile` by the keys
 * that they speak TLS by.
 */
export const twoMachines = async (
  keyFile?: (machine: string) => string,
): Promise<{
  readonly a: ProcessMachine
  readonly b: ProcessMachine
  readonly signing: SigningKey
  readonly close: () => Promise<void>
}> => {
  const { signing } = await generateTicketKeys("conformance")
  const keys = { mach_a: await machineKey(signing, "mach_a"), mach_b: await machineKey(signing, "mach_b") }
  const serve = ({ machine, loopback }: { readonly machine: string; readonly loopback: string }) => {
    const proxy = createMachineProxy({ machine, loopback, keys: [keys[machine as keyof typeof keys]] })
    return keyFile === undefined ? proxy.connection : proxy.secureConnection(machineTls(keyFile(machine)).server)
  }
  const a = await startMachine({ id: "mach_a", serve })
  const b = await startMachine({ id: "mach_b", serve, loopback: "::1", appPort: a.appPort })
  return { a, b, signing, close: async () => void (await Promise.all([a.close(), b.close()])) }
}

/** A machine's address as a `Machine` of an adapter whose records hold it, with all that can be done to such a machine. */
const addressed = async (
  made: Made,
  metadataOf: (machine: ProcessMachine) => Machine["metadata"],
  wrongMetadata: Readonly<Record<string, Machine["metadata"]>>,
  keyFile?: (machine: string) => string,
): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines(keyFile)
  const record = (machine: ProcessMachine, metadata = metadataOf(machine)): Machine => ({
    id: machine.id,
    type: made.adapter,
    externalId: machine.id,
    metadata,
  })
  return {
    made,
    provider: provider(made),
    machine: record(a),
    get other() {
      return record(b)
    },
    port: a.appPort,
    signingKey: signing,
    ...(keyFile === undefined ? fixtureSocket : {}),
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

export const localFixture = (): Promise<Proved> =>
  addressed({ adapter: "local" }, ({ port, bootId }) => ({ port, epoch: bootId }), {
    port: { port: "not-a-port" },
    host: { port: 8080, host: "user@host/path" },
    epoch: { port: 8080, epoch: 7 },
  })

/** The same with machines that speak TLS: each makes its key at its first start. */
export const pinnedLocalFixture = async (): Promise<Proved> => {
  const folder = mkdtempSync(join(tmpdir(), "pinned-"))
  const keyFile = (machine: string) => join(folder, `${machine}.pem`)
  const fixture = await addressed(
    { adapter: "local" },
    ({ id, port, bootId }) => ({ port, epoch: bootId, pin: machineTls(keyFile(id)).pin }),
    { pin: { port: 8080, pin: "sha256/AAAA" } },
    keyFile,
  )
  const { close } = fixture
  const closeAll = async () => {
    await close()
    rmSync(folder, { recursive: true })
  }
  return Object.defineProperty(fixture, "close", { value: closeAll })
}

export const urlFixture = async (): Promise<Proved> => {
  const secret = "url-canary-77aa01"
  const fixture = await addressed(
    { adapter: "url", headers: { "x-front-door": secret } },
    ({ port, bootId }) => ({ origin: `http://127.0.0.1:${port}`, epoch: bootId }),
    {
      origin: { origin: "https://user:password@office.example.com/path" },
      epoch: { origin: "https://x.test", epoch: 7 },
    },
  )
  return Object.defineProperty(fixture, "secrets", { value: [secret], enumerable: true })
}
