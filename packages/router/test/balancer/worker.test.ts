import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { inWorkerd } from "../../../../test/in-workerd.ts"

it("in workerd, requests find out what is well, and health checks run with their waitUntil", async () => {
  const entryPoints = [fileURLToPath(new URL("worker.ts", import.meta.url))]
  const conditions = ["@project-ingress/source", "workerd"]
  expect(await inWorkerd({ entryPoints, conditions, external: ["node:*"] })).toEqual({
    bodies: ["http://one.test"],
    events: [["ejected", "two"]],
    probes: ["http://one.test", "http://two.test"],
    handedOver: 2,
  })
})
