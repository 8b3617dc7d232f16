// Run by process-machine.test.ts with node:test: a process that must end by itself.
import { test } from "node:test"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { local } from "../src/adapters/local.ts"
import { startMachine } from "../src/testing.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

const { signing } = await generateTicketKeys("test")
const key = await machineKey(signing, "mach_1")
const machine = await startMachine({
  id: "mach_1",
  serve: ({ machine, loopback }) => createMachineProxy({ machine, loopback, keys: [key] }).connection,
})

void test("a machine that was started twice at once is reached", async () => {
  await Promise.all([machine.start(), machine.start()])
  const record = { id: "mach_1", type: "local", externalId: "mach_1", metadata: { port: machine.port } }
  const fetcher = machineFetcher(local(), record, { port: machine.appPort, signingKey: signing })
  const response = await fetcher(new Request("http://app.test/who"))
  if ((await response.text()) !== "mach_1") throw new Error("another machine responded")
  if (process.env["CLOSE"] === "1") await machine.close()
})
