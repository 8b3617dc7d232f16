import { expect, it } from "vitest"
import { makeHealthTable } from "../../src/balancer/health-table.ts"
import type { RouteRecord } from "../../src/stores/record.ts"

it("what is known of machines in use outlasts a visitor who asks for one port after the other", () => {
  const table = makeHealthTable(() => {})
  const [first, second] = ["mach_1", "mach_2"].map((id) => ({ id, type: "fake", externalId: id, metadata: {} }))
  const record: RouteRecord = {
    kind: "machine",
    machine: first!,
    replicas: [second!],
    version: 1,
    epoch: 1,
    owner: "org_1",
  }
  const at = (port: number) => {
    const candidates = [first!, second!].map((machine) => ({ machine, port, own: undefined, weight: 1 }))
    return table.of(record, candidates, true)
  }
  const known = at(3_000)
  for (let n = 0; n < 5; n++) table.failed(known, known.entries[0]!, "MachineUnreachable")
  // More machines' ports than the table keeps, and now and then somebody who uses the app.
  for (let port = 4_000; port < 16_000; port++) {
    at(port)
    if (port % 1_000 === 0) at(3_000)
  }
  expect(at(3_000).entries[0]!.state).toMatchObject({ failures: 5, ejections: 1 })
})
