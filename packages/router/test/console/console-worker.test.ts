import { expect, it } from "vitest"
import { inWorkerd } from "../../../../test/in-workerd.ts"

it("in workerd, the console says that it shows one isolate, and what its router did there", async () => {
  expect(await inWorkerd(new URL("worker.ts", import.meta.url))).toEqual({
    refused: 403,
    policy: expect.stringMatching(/style-src 'sha256-[\w+/]{43}='; script-src 'sha256-[\w+/]{43}='/),
    saysIsolate: true,
    leads: true,
    scope: "isolate",
    endpoint: { origin: "http://one.test", machineProxy: true, isPinned: false, isStale: false },
    recent: expect.objectContaining({
      errors: [expect.objectContaining({ code: "ROUTE_NOT_FOUND", count: 1 })],
      machines: [expect.objectContaining({ machine: "mach_1", requests: 1, failures: 0 })],
    }),
  })
})
