import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { App, Client, ok } from "../../../machine-proxy/test/catalogue/harness.ts"
import { departures } from "./departures.ts"
import { startMachine, startNode, startWorker } from "./hosts.ts"
import type { RunningHost } from "./hosts.ts"

const names = ["the Node host", "the Worker"] as const
let machine: RunningHost
const hosts: Partial<Record<(typeof names)[number], RunningHost>> = {}
let app: App

beforeAll(async () => {
  machine = await startMachine()
  hosts["the Node host"] = await startNode(machine.port)
  hosts["the Worker"] = await startWorker(machine.port)
})
afterAll(async () => {
  for (const host of Object.values(hosts)) await host.close()
  await machine.close()
})
beforeEach(async () => {
  app = await new App().listen()
})
afterEach(() => app.stop())

const addressed = (request: string): string => request.replace("\r\n", `\r\nHost: ${app.port}__misha.iterate.app\r\n`)

describe.each(names)("through %s an app hears of", (name) => {
  it.each(departures.map((one) => [one.title, one] as const))("%s", async (_, departure) => {
    const { port } = hosts[name]!
    app.script = departure.responds
    const client = await new Client(port).write(addressed(departure.request))
    await app.until(
      () => app.text.includes(departure.app),
      () => "the request",
    )
    await client.until(
      () => client.text.includes(departure.client),
      () => "the beginning of the response",
    )
    const [connection] = app.connections
    const heard = () =>
      app.until(
        () => connection!.closed !== undefined,
        () => "the app's connection closed",
      )
    if (departure.by === "reset") client.reset()
    else client.destroy()
    if (name === "the Node host" || departure.worker === undefined) {
      await heard()
      return
    }
    // Enough other requests that one that is heard of would have been.
    app.script = ok()
    for (let i = 0; i < 50; i++) {
      const other = await new Client(port).write(addressed("GET /other HTTP/1.1\r\n\r\n"))
      expect((await other.answered(1))[0]!.text).toBe("ok")
      other.destroy()
    }
    expect(connection!.closed).toBeUndefined()
    if (departure.client === "") return
    const heartbeat = setInterval(() => connection!.write("1\r\n:\r\n"), 20)
    await heard().finally(() => clearInterval(heartbeat))
  })
})
