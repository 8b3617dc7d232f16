import { generateTicketKeys } from "@project-ingress/forward"
import { expect, it } from "vitest"
import { startWorker } from "../../../test/start-worker.ts"
import { asking } from "../../../packages/router/test/access/asking.ts"
import { outcome } from "./outcome.ts"

it("a platform with private ports is the same in workerd", async () => {
  const { signing } = await generateTicketKeys("example")
  const worker = await startWorker(new URL("worker.ts", import.meta.url), { SIGNING_KEY: { ...signing } })
  try {
    const ask = asking(worker.port)
    const grants = (await (await ask("http://test.invalid/grants")).json()) as { token: string; link: string }
    const walked = outcome({
      ...grants,
      ask,
      originOf: (slug, port) => `http://${port}.${slug}.localhost:8787`,
      clock: (ms) => ask(`http://test.invalid/clock?${ms}`),
      revoke: () => ask("http://test.invalid/revoke", { method: "POST" }),
    })
    await expect(walked).resolves.toBeUndefined()
  } finally {
    await worker.dispose()
  }
})
