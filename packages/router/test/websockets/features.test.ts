import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { readFileSync } from "node:fs"
import { createRouter } from "../../src/router.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { startMachine, startWorker } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { features } from "./features.ts"
import type { Feature, WayIn } from "./features.ts"
import { startServed } from "./hosts.ts"
import { RawApp } from "./raw-socket.ts"
import { optionsFor } from "./router.ts"

const columns = ["serveNode", "Bun.serve", "Deno.serve", "Workers"] as const
type Column = (typeof columns)[number]

let proxy: RunningHost
const ways = new Map<Column, WayIn>()
const closing: (() => unknown)[] = []
const found = new Map<Column, ReadonlyMap<string, string>>()

/** What each feature comes to: all at once, because some wait until nothing moves, and the stop at last. */
const measured = async (way: WayIn): Promise<ReadonlyMap<string, string>> => {
  const results = new Map<string, string>()
  const one = async ({ title, measure }: Feature): Promise<void> => {
    const app = await new RawApp().listen()
    try {
      results.set(title, await measure(way, app))
    } catch (cause) {
      results.set(title, String(cause))
    } finally {
      app.close()
    }
  }
  await Promise.all(features.slice(0, -1).map(one))
  await one(features.at(-1)!)
  return results
}

beforeAll(async () => {
  proxy = await startMachine()
  const setup = { machine, port: proxy.port, signingKey: signing }
  const node = await serveNode(createRouter(optionsFor(setup))).listen({ hostname: "127.0.0.1" })
  ways.set("serveNode", { port: node.port, stop: () => node.close({ deadlineMs: 0 }) })
  closing.push(() => node.close({ deadlineMs: 0 }))
  const [bun, deno, worker] = await Promise.all([
    startServed("bun", setup),
    startServed("deno", setup),
    startWorker(proxy.port),
  ])
  closing.push(bun.close, deno.close, worker.close)
  const stopper = ({ port }: { readonly port: number }) => ({
    port,
    stop: () => fetch(`http://127.0.0.1:${port}/stop`),
  })
  ways.set("Bun.serve", stopper(bun)).set("Deno.serve", stopper(deno)).set("Workers", { port: worker.port })
  await Promise.all(columns.map(async (column) => found.set(column, await measured(ways.get(column)!))))
}, 120_000)
afterAll(async () => {
  await Promise.all(closing.map((close) => close()))
  await proxy.close()
})

/** The cells of the table, by the first one of their row. */
const documented = (): ReadonlyMap<string, readonly string[]> => {
  const page = readFileSync(new URL("../../../../docs/mounting.md", import.meta.url), "utf8")
  const table = /<!-- websockets:[^>]*-->\n+([^]*?)\n+<!-- \/websockets -->/.exec(page)?.[1] ?? ""
  const rows = table.split("\n").map((row) => row.split("|").map((cell) => cell.trim()))
  return new Map(rows.map(([, title, ...cells]) => [title!, cells]))
}

describe("the table of docs/mounting.md", () => {
  it("has a row for each feature, and no other", () => {
    expect([...documented().keys()].slice(2)).toEqual(features.map(({ title }) => title))
  })

  describe.each(columns)("says of %s what is found:", (column) => {
    it.each(features)("$title", ({ title }) => {
      const at = documented().get("websocket")!.indexOf(column)
      expect(documented().get(title)?.[at]).toBe(found.get(column)?.get(title))
    })
  })
})
