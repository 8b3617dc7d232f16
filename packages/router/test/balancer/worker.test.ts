import { expect, it } from "vitest"
import { inWorkerd } from "../../../../test/in-workerd.ts"

it("in workerd, requests find out what is well, and health checks run with their waitUntil", async () => {
  expect(await inWorkerd(new URL("worker.ts", import.meta.url))).toEqual({
    bodies: ["http://one.test"],
    events: [["ejected", "two"]],
    probes: ["http://one.test", "http://two.test"],
    handedOver: 2,
  })
})
