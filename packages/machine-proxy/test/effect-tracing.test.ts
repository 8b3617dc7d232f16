/** The layer takes part in traces, if the program that builds it has a tracer. */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { describe, expect, it } from "vitest"
import { config, layer, MachineProxy } from "../src/effect.ts"
import type { LayerOptions } from "../src/effect.ts"
import { closedPort, get, machine, receivedBy, startApp, startProxy, verification } from "./harness.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"
const traceparent = `00-${traceId}-${spanId}-01`

/** A proxy, and the spans that its tracer was asked for. */
const start = async (more: Partial<LayerOptions> = {}) => {
  const spans: Tracer.NativeSpan[] = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    },
  })
  const scope = Effect.runSync(Scope.make())
  const options: LayerOptions = {
    host: "127.0.0.1",
    port: 0,
    log: "off",
    drainMs: 0,
    keys: Redacted.make([verification]),
    proxy: { machine },
    ...more,
  }
  const context = await Effect.runPromise(
    Layer.buildWithScope(Layer.provide(layer(options), Layer.succeed(Tracer.Tracer, tracer)), scope),
  )
  return {
    spans,
    port: Context.get(context, MachineProxy).address.port,
    [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  }
}

const parentOf = ({ parent }: Tracer.NativeSpan): string | undefined => Option.getOrUndefined(parent)?.spanId
const attributes = ({ attributes }: Tracer.NativeSpan) => Object.fromEntries(attributes)

describe("a request to an app", () => {
  it("has a span between the router's and the app's, which ends with the response", async () => {
    await using app = await startApp()
    await using proxy = await start({ tracing: { trustTraceContext: true } })
    const received = receivedBy(await get(proxy.port, app.port, [`traceparent: ${traceparent}`, "tracestate: a=1"]))
    const [span] = proxy.spans
    expect(proxy.spans).toHaveLength(1)
    expect(span).toMatchObject({ name: "ingress.machine_proxy", kind: "server", traceId })
    expect(parentOf(span!)).toBe(spanId)
    expect(received).toMatchObject({ traceparent: `00-${traceId}-${span!.spanId}-01`, tracestate: "a=1" })
    await expect.poll(() => span!.status._tag).toBe("Ended")
    expect(attributes(span!)).toEqual({
      "http.request.method": "GET",
      "http.response.status_code": 200,
      "ingress.port": app.port,
    })
  })

  it("has the trace that the router sent past a platform which changes it", async () => {
    await using app = await startApp()
    await using proxy = await start({ tracing: { trustTraceContext: true } })
    const lines = [`traceparent: 00-${"f".repeat(32)}-${spanId}-00`, `x-iterate-proxy-fwd-traceparent: ${traceparent}`]
    const received = receivedBy(await get(proxy.port, app.port, lines))
    expect(received["traceparent"]).toBe(`00-${traceId}-${proxy.spans[0]!.spanId}-01`)
  })

  it("has a span that failed where the app cannot be reached", async () => {
    const port = await closedPort()
    await using proxy = await start()
    expect((await get(proxy.port, port)).status).toBe(502)
    await expect.poll(() => proxy.spans[0]?.status).toMatchObject({ _tag: "Ended", exit: { _tag: "Failure" } })
    expect(attributes(proxy.spans[0]!)).toMatchObject({ "error.type": "PortClosed", "ingress.code": "PORT_CLOSED" })
  })

  it("is not recorded because a stranger wants it", async () => {
    await using app = await startApp()
    await using proxy = await start({ tracing: { sampleRatio: 0 } })
    const received = receivedBy(await get(proxy.port, app.port, [`traceparent: ${traceparent}`]))
    expect(received["traceparent"]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))
    expect(proxy.spans).toEqual([])
  })

  it("has its trace context unchanged with tracing off", async () => {
    await using app = await startApp()
    await using proxy = await start({ tracing: false })
    const received = receivedBy(await get(proxy.port, app.port, ["traceparent: 00-x"]))
    expect(received["traceparent"]).toBe("00-x")
    expect(proxy.spans).toEqual([])
  })
})

describe("a request that is refused", () => {
  it("has no span: nobody makes any without a ticket", async () => {
    await using proxy = await start()
    const response = await fetch(`http://127.0.0.1:${proxy.port}/`, {
      headers: { traceparent, "x-iterate-proxy-target-host": "localhost:3000" },
    })
    expect(response.status).toBe(401)
    expect(proxy.spans).toEqual([])
  })
})

describe("what watches", () => {
  it("fails no request", async () => {
    await using app = await startApp()
    const fails = () => {
      throw new Error("no")
    }
    for (const beginTrace of [fails, () => ({ fields: fails, end: fails })]) {
      await using proxy = await startProxy({ beginTrace })
      expect((await get(proxy.port, app.port)).status).toBe(200)
    }
  })

  it("is refused with a sentence if an option is wrong", async () => {
    await expect(start({ tracing: { sampleRatio: 2 } })).rejects.toThrow(/^layer: tracing.sampleRatio must be/)
    await expect(start({ tracing: { ratio: 1 } as never })).rejects.toThrow("layer: tracing.ratio is not an option")
    expect(() => config({ tracing: { ratio: 1 } as never })).toThrow("config: tracing.ratio is not an option")
  })
})

describe("what is read from the environment", () => {
  it("has with it what no variable says", async () => {
    const tracing = { trustTraceContext: true }
    const environment = { INGRESS_MACHINE: machine, INGRESS_TICKET_KEYS: JSON.stringify([verification]) }
    const provider = ConfigProvider.fromEnvRecord(environment, { preserveEmptyStrings: true })
    const options = await Effect.runPromise(config({ tracing }).parse(provider))
    expect(options.tracing).toEqual(tracing)
  })
})
