import { describe, expect, it } from "vitest"
import { get, receivedBy, startApp, startProxy } from "./harness.ts"

// W3C Trace Context and Baggage: a proxy that does not take part in a trace must pass it unchanged (§3.2, "pass
// through").
const context = {
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  tracestate: "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
  baggage: "userId=alice,serverNode=DF%2028;isProduction=false",
  "x-request-id": "7f1c 2b;“ü”",
}

describe("a trace", () => {
  it.each([
    ["with a ticket", false],
    ["without one", true],
  ])("reaches the app unchanged, %s", async (_, insecure) => {
    await using app = await startApp()
    await using proxy = await startProxy(insecure ? { keys: "insecure" } : {})
    const lines = Object.entries(context).map(([name, value]) => `${name}: ${Buffer.from(value).toString("latin1")}`)
    const response = await get(proxy.port, app.port, lines)
    const received = receivedBy(response)
    for (const [name, value] of Object.entries(context)) {
      // The app's JSON was read as latin1 once more.
      expect(Buffer.from(Buffer.from(received[name]!, "latin1").toString("utf8"), "latin1").toString("utf8")).toBe(
        value,
      )
    }
  })

  it("is not started here", async () => {
    await using app = await startApp()
    await using proxy = await startProxy()
    const received = receivedBy(await get(proxy.port, app.port))
    for (const name of Object.keys(context)) expect(received).not.toHaveProperty(name)
  })

  it("in several fields stays in several fields", async () => {
    await using app = await startApp()
    await using proxy = await startProxy()
    const response = await get(proxy.port, app.port, ["tracestate: a=1", "tracestate: b=2"])
    expect(receivedBy(response)["tracestate"]).toBe("a=1, b=2")
  })
})
