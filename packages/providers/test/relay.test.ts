import { createServer } from "node:http"
import type { Server } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { conformanceApp } from "../src/testing/app.ts"
import { startRelay } from "./relay-fixture.ts"
import type { Connected, RelayWorker } from "./relay-fixture.ts"

let relay: RelayWorker
let app: Server
let port: number
let machine: Connected

beforeAll(async () => {
  const { request, upgrade } = conformanceApp("mach_a")
  app = createServer(request).on("upgrade", upgrade).listen(0, "127.0.0.1")
  await once(app, "listening")
  port = (app.address() as AddressInfo).port
  relay = await startRelay()
  machine = await relay.connect("mach_a")
  await machine.until("connected")
}, 60_000)

afterAll(async () => {
  await relay.close()
  app.closeAllConnections()
  app.close()
})

const to = (path: string, id = "mach_a", name = id): URL =>
  new URL(`/to/${id}/${name}/${port}${path}`, relay.url)

describe("through a relay", { timeout: 30_000 }, () => {
  it("a GET reaches the app of a machine that dialled out", async () => {
    const response = await fetch(to("/who"))
    expect([response.status, await response.text()]).toEqual([200, "mach_a"])
  })
})
