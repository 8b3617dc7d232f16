import { generateTicketKeys } from "@project-ingress/forward"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { expect, it } from "vitest"
import { bundleWorker } from "../../../test/bundle-worker.ts"
import { asking } from "../../../packages/router/test/access/asking.ts"
import { outcome } from "./outcome.ts"

it("a platform with private ports is the same in workerd", async () => {
  const { signing } = await generateTicketKeys("example")
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      // What the worker gets is then what was sent: no proxy in front reads the hostname.
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
      modules: true,
      script: await bundleWorker(new URL("worker.ts", import.meta.url)),
      compatibilityDate: "2026-11-01",
      bindings: { SIGNING_KEY: { ...signing } },
    }),
  )
  try {
    await worker.ready
    const ask = asking(Number((await worker.unsafeGetDirectURL()).port))
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
