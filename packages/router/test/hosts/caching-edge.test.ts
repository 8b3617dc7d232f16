import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { App, Client, ok } from "../../../machine-proxy/test/catalogue/harness.ts"
import type { Answer } from "../../../machine-proxy/test/catalogue/harness.ts"
import { startCachingEdge } from "./caching-edge.ts"
import { startMachine, startNode, startWorker } from "./hosts.ts"
import type { RunningHost } from "./hosts.ts"

/** What an app says so that caches keep its response, and the visitor gets again. */
const says = [
  ["Cache-Control: public, max-age=600"],
  ["Cache-Control: max-age=600", "CDN-Cache-Control: max-age=600"],
  ["Cloudflare-CDN-Cache-Control: max-age=600"],
]

let machine: RunningHost
let edge: Awaited<ReturnType<typeof startCachingEdge>>
const hosts: Partial<Record<"the Node host" | "the Worker", RunningHost>> = {}
const apps: App[] = []

beforeAll(async () => {
  machine = await startMachine()
  edge = await startCachingEdge(machine.port)
  hosts["the Node host"] = await startNode(edge.port)
  hosts["the Worker"] = await startWorker(edge.port)
  apps.push(await new App().listen(), await new App().listen())
})
afterAll(async () => {
  for (const host of Object.values(hosts)) await host.close()
  await edge.close()
  await machine.close()
  for (const app of apps) await app.stop()
})

const ask = async (port: number, host: string, path: string): Promise<Answer> => {
  const client = await new Client(port).write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  const [response] = await client.answered(1)
  client.destroy()
  return response!
}

describe.each(["the Node host", "the Worker"] as const)("with a cache between %s and the machine", (name) => {
  it.each(says.map((fields) => [fields.join(" and "), fields] as const))(
    "two ports and two names stay apart, though apps say %s",
    async (title, fields) => {
      const path = `/${encodeURIComponent(name + title)}`
      const [first, second] = apps as [App, App]
      for (const [i, app] of apps.entries()) {
        app.script = (request, connection) =>
          void ok(`${i} for ${request.value("x-iterate-proxy-public-origin")}`, ...fields)(request, connection)
      }
      for (const host of [
        `${first.port}__misha`,
        `${second.port}__misha`,
        `${first.port}__other`,
        `${first.port}__misha`,
      ]) {
        const response = await ask(hosts[name]!.port, `${host}.iterate.app`, path)
        const app = host.startsWith(`${first.port}__`) ? 0 : 1
        expect(response.text).toBe(`${app} for http://${host}.iterate.app`)
        // The app's own words, and none of ours.
        const about = response.fields.filter(([field]) => /cache-control|x-iterate/i.test(field))
        expect(about.map(([field, value]) => `${field.toLowerCase()}: ${value}`)).toEqual(
          fields.map((field) => field.replace(/^[^:]*/, (each) => each.toLowerCase())),
        )
      }
      expect([...edge.kept.keys()]).toEqual([])
    },
  )
})

it.each(says.map((fields) => [fields.join(" and "), fields] as const))(
  "the cache of these tests does keep what an app without a machine proxy sends with %s",
  async (_, fields) => {
    const [app] = apps as [App]
    app.script = ok("x", ...fields)
    const plain = await startCachingEdge(app.port)
    await ask(plain.port, "a", "/kept")
    expect([...plain.kept.keys()]).toEqual(["/kept"])
    await plain.close()
  },
)
