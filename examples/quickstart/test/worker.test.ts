import { generateTicketKeys } from "@project-ingress/forward"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startWorker } from "../../os-worker/test/workerd.ts"
import { dockerProblem, startDocker } from "../src/docker-machines.ts"
import { startLocal } from "../src/local-machines.ts"
import { Undo } from "../src/machines.ts"
import { need, startBrowser, visit } from "./browser.ts"
import { everything, onlyInAll } from "../../../test/requirements.ts"

const dockerHost = process.env["DOCKER_HOST"]
const noEngine = await dockerProblem(dockerHost, AbortSignal.timeout(20_000))

let browser: Browser | undefined
let noBrowser: string | undefined
beforeAll(async () => {
  ;({ browser, noBrowser } = await startBrowser())
})
afterAll(() => browser?.close())

describe.skipIf(!everything)(`the same machines behind a Worker in workerd${onlyInAll}`, () => {
  it.for([
    { engine: "docker", label: "4096__misha" },
    { engine: "local", label: "4096__misha" },
    // Of the documentation's block (RFC 5737): no computer has it, as macOS has no 127.0.0.2.
    { engine: "local", label: "app--misha", addresses: ["192.0.2.1"] },
  ])("serve what they serve behind Node: $engine at $label", async ({ engine, label, addresses }, ctx) => {
    if (engine === "docker") need(ctx, noEngine)
    need(ctx, noBrowser)
    const undo = new Undo()
    try {
      const { signing } = await generateTicketKeys("worker")
      const options = { ids: ["mach_a", "mach_b"], signing, signal: ctx.signal, say: () => {} }
      const machines =
        engine === "docker" ? await startDocker(dockerHost, options, undo) : await startLocal(options, undo, addresses)
      const worker = await startWorker({ signing })
      undo.add(() => worker.dispose())
      // A Worker cannot ask a local engine where a container is: the test names it.
      const attach = (id: string): Promise<void> => {
        const { machine, services, published } = machines.routes.get(id)!
        return worker.attach("p:misha", {
          machine: { ...machine, type: "local", metadata: { ...published } },
          services,
        })
      }
      await attach("mach_a")
      const seen = await visit(browser!, {
        page: `http://${label}.localhost:${new URL(worker.url).port}/`,
        attach,
        detach: () => worker.detach("p:misha"),
        // Its route is deleted.
        detached: { status: 404, code: "ROUTE_NOT_FOUND" },
      })
      expect(seen).toEqual(["mach_a", "mach_b", "mach_a"])
    } finally {
      await undo.run()
    }
  })
})
