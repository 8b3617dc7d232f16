/** Two machines of this process behind the fake of Fly's edge and API. */
import type { Machine } from "../src/contract/machine-provider.ts"
import type { ProcessMachine } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { flyCloud } from "./fakes/fly-cloud.ts"
import { machineOf } from "./fly-through.ts"

const token = "fm2_canaryCANARYcanary"

export const flyFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  // The suite asks far more often than a second apart.
  const cloud = await flyCloud("pets", { token, now: Date.now })
  const enter = (id: string, process: ProcessMachine) => {
    const machine = cloud.machine(id, process.port)
    machine.rateLimit(1_000)
    machine.start(3_600_000)
    return machine
  }
  const first = enter("a1", a)
  enter("b1", b)
  first.onStart = () => {
    void a.start().then(() => (first.port = a.port))
  }
  const made: Made = { adapter: "fly", token, apiBase: cloud.apiBase, edgeOrigin: cloud.edgeOrigin }
  const record = (id: string, of: ProcessMachine): Machine => ({ ...machineOf(id), id: of.id })
  const wrong = (metadata: Machine["metadata"]): Machine => ({ ...record("a1", a), metadata })
  const rest = (state: string) => async () => {
    first.state = state
    await a.stop()
  }
  const restart = async (): Promise<Machine> => {
    await a.start()
    first.port = a.port
    first.state = "started"
    return record("a1", a)
  }
  // The API's failures are in nobody's way until the edge's answer has to be asked about.
  const always = (status: number) => async () => {
    cloud.always(status)
    first.booting(502)
    return () => {
      cloud.always()
      first.booted()
    }
  }
  return {
    made,
    provider: provider(made),
    machine: record("a1", a),
    other: record("b1", b),
    port: a.appPort,
    signingKey: signing,
    missing: { ...record("a1", a), externalId: "nobody" },
    wrong: {
      app: wrong({}),
      network: wrong({ app: "pets", network: "elsewhere" }),
      domain: wrong({ app: "pets", domain: "user@host/path" }),
      port: wrong({ app: "pets", port: 0 }),
    },
    secrets: [token],
    stop: rest("stopped"),
    suspend: rest("suspended"),
    remove: rest("destroyed"),
    restart,
    starting: async () => {
      await rest("starting")()
      return restart
    },
    hang: async () => {
      cloud.hang()
      return () => cloud.hang(false)
    },
    rateLimit: always(429),
    unauthorized: always(401),
    unavailable: always(500),
    portClosed: async () => {
      const { port } = first
      first.port = 1
      return () => (first.port = port)
    },
    close: () => Promise.all([close(), cloud.close()]),
  }
}
