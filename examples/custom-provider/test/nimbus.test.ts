import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import { providerSuite, startMachine } from "@project-ingress/providers/testing"
import { afterAll, it } from "vitest"
import { nimbus } from "../src/nimbus.ts"
import { fakeNimbus } from "./fake-nimbus.ts"

const { signing } = await generateTicketKeys("test")
const key = await machineKey(signing, "mach_1")
const machine = await startMachine({
  id: "mach_1",
  serve: ({ machine, loopback }) => createMachineProxy({ machine, loopback, keys: [key] }).connection,
})
afterAll(machine.close)
const { apiKey, fetch, record, hooks } = fakeNimbus(machine)

// One test for each law. Those that need a second machine are skipped: the fixture has no `other`.
await providerSuite(it, () => ({
  provider: nimbus({ apiKey, fetch }),
  machine: record,
  port: machine.appPort,
  signingKey: signing,
  missing: { ...record, externalId: "nobody" },
  secrets: [apiKey],
  ...hooks,
}))
