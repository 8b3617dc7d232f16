import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { need, startBrowser } from "../../examples/quickstart/test/browser.ts"
import { startChain } from "./chain.ts"
import type { Chain } from "./chain.ts"

const app = createServer((_, response) => response.end("<title>an app</title>"))
let chain: Chain
let port: number

beforeAll(async () => {
  app.listen(0, "127.0.0.1")
  await once(app, "listening")
  port = (app.address() as AddressInfo).port
  chain = await startChain()
})
afterAll(async () => {
  await chain[Symbol.asyncDispose]()
  app.close()
})

describe.each(["Node", "Workers"] as const)("the chain with a router on %s", (name) => {
  it("leads a program to a port by its public name over TLS, and nowhere without a route", async () => {
    const host = chain.hosts.find((each) => each.name === name)!
    const response = await host.fetch(host.origin(port))
    expect([response.status, await response.text()]).toEqual([200, "<title>an app</title>"])
    expect((await host.fetch(`https://${port}--nobody.${host.domain}`)).status).toBe(404)
  })

  it("leads a browser there, on the default port and as a secure context", async (ctx) => {
    const host = chain.hosts.find((each) => each.name === name)!
    const { browser, noBrowser } = await startBrowser(chain.browserArguments)
    need(ctx, noBrowser)
    const page = await browser!.newPage()
    await page.goto(host.origin(port))
    expect(await page.title()).toBe("an app")
    expect(page.url()).toBe(`${host.origin(port)}/`)
    expect(await page.evaluate("isSecureContext")).toBe(true)
    await browser!.close()
  })
})
