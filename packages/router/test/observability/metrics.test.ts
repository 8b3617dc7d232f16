import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { afterEach, describe, expect, it } from "vitest"
import { layer, observe, Observer } from "../../src/observability.ts"
import type { Observation, ObservedEvent } from "../../src/observability.ts"
import { AccessDenied } from "../../src/router.ts"
import { setup, stamped } from "../fakes.ts"
import { hostileEvents, requestEvent } from "./hostile-events.ts"
import { startTracedChain } from "./traced-chain.ts"

const registry = Context.get(Context.empty(), Metric.MetricRegistry)
afterEach(() => registry.clear())

/** The lines of Prometheus' text that are samples, by name and labels. */
const samples = (observed: Pick<Observation, "metricsText">): Record<string, number> =>
  Object.fromEntries(
    observed
      .metricsText()
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  )

describe("metrics of requests", () => {
  it("say what came of them", async () => {
    const observed = observe()
    const denies = { name: "onlyAlice", onRoute: () => ({ deny: new AccessDenied() }) }
    const { onEvent, instrument } = observed
    const open = setup({ onEvent, instrument, answer: () => stamped("ok", { status: 503 }) })
    const closed = setup({ onEvent, instrument, policies: [denies] })
    await open.router.fetch(new Request("http://misha.iterate.app/"))
    await open.router.fetch(new Request("http://other.iterate.app/"))
    await open.router.fetch(new Request("http://not-ours.example/"))
    await closed.router.fetch(new Request("http://misha.iterate.app/"))
    const found = samples(observed)
    expect(found).toMatchObject({
      'ingress_router_requests_total{status="5xx",outcome="machine"}': 1,
      'ingress_router_requests_total{status="4xx",outcome="ROUTE_NOT_FOUND"}': 1,
      'ingress_router_requests_total{status="4xx",outcome="ACCESS_DENIED"}': 1,
      'ingress_router_errors_total{tag="RouteNotFound"}': 1,
      'ingress_router_errors_total{tag="AccessDenied"}': 1,
      'ingress_router_policy_outcomes_total{policy="onlyAlice",decision="denied"}': 1,
      'ingress_router_lookups_total{layer="memory",outcome="hit"}': 2,
      'ingress_router_request_duration_seconds_count{outcome="machine"}': 1,
      ingress_router_open_requests: 0,
    })
  })

  it("count what is in flight, and no more when a client has left", async () => {
    const observed = observe()
    const answers: ((response: Response) => void)[] = []
    const { router } = setup({ ...watching(observed), answer: () => new Promise((resolve) => answers.push(resolve)) })
    const first = router.fetch(new Request("http://misha.iterate.app/"))
    const leaves = new AbortController()
    const second = router.fetch(new Request("http://misha.iterate.app/", { signal: leaves.signal }))
    await expect.poll(() => answers.length).toBe(2)
    const inFlight = () => samples(observed)["ingress_router_open_requests"]
    expect(inFlight()).toBe(2)
    leaves.abort()
    await second
    expect(inFlight()).toBe(1)
    answers[0]!(stamped())
    await first
    expect(inFlight()).toBe(0)
    expect(samples(observed)).toMatchObject({
      'ingress_router_requests_total{status="4xx",outcome="client_left"}': 1,
      'ingress_router_requests_total{status="2xx",outcome="machine"}': 1,
    })
  })

  it("say how long machines took to wake", () => {
    const observed = observe()
    observed.instrument.configured?.({ policies: [], providers: ["fly"] })
    for (const outcome of ["ready", "failed"] as const)
      observed.onEvent({ type: "wake", provider: "fly", machine: "m1", outcome, durationMs: 900 })
    expect(samples(observed)).toMatchObject({
      'ingress_wakes_total{provider="fly",outcome="ready"}': 1,
      'ingress_wakes_total{provider="fly",outcome="failed"}': 1,
      'ingress_wake_duration_seconds_bucket{provider="fly",le="0.5"}': 0,
      'ingress_wake_duration_seconds_bucket{provider="fly",le="1"}': 2,
    })
  })

  it("of a host have bytes and connections", async () => {
    const observed = observe()
    await using chain = await startTracedChain({ observed })
    const watched = observed.watchHost(chain.host)
    await chain.get()
    const found = samples(observed)
    expect(found).toMatchObject({ ingress_open_connections: expect.any(Number) })
    await expect
      .poll(() => samples(observed)['ingress_requests_total{method="GET",status="2xx"}'])
      // The machine's proxy is in this process as well.
      .toBe(2)
    expect(samples(observed)["ingress_sent_bytes_total"]).toBeGreaterThan(100)
    watched.stop()
    expect(samples(observed)).not.toHaveProperty("ingress_open_connections")
  })
})

const watching = ({ onEvent, instrument }: Observation) => ({ onEvent, instrument })

describe("labels", () => {
  it("stay few, and name no tenant, whatever 10 000 hostnames, policies and codes there are", () => {
    const observed = observe()
    observed.instrument.configured?.({ policies: ["visibility"], providers: ["fly"] })
    for (let at = 0; at < 10_000; at++) {
      for (const event of hostileEvents(`tenant-${at}`, at)) observed.onEvent(event)
    }
    const series = Object.keys(samples(observed))
    expect(series.length).toBeLessThan(250)
    expect(series.join("\n")).not.toContain("tenant-")
    expect(samples(observed)['ingress_router_policy_outcomes_total{policy="other",decision="denied"}']).toBe(10_000)
    expect(samples(observed)['ingress_router_lookups_total{layer="other",outcome="hit"}']).toBe(10_000)
  })

  it("have at most 100 names of a router's own policies and providers", () => {
    const observed = observe()
    const names = Array.from({ length: 10_000 }, (_, at) => `name-${at}`)
    observed.instrument.configured?.({ policies: names, providers: names })
    for (const name of names) {
      observed.onEvent(requestEvent({ trace: [{ step: "policy", outcome: name, decision: "denied" }] }))
    }
    const policies = Object.keys(samples(observed)).filter((series) => series.includes('decision="denied"'))
    expect(policies).toHaveLength(101)
  })
})

describe("what watches", () => {
  it("throws into no request, whatever it is given", async () => {
    const observed = observe({
      log: {
        write: () => {
          throw new Error("the disk is full")
        },
      },
    })
    const nothing = undefined as unknown as ObservedEvent
    expect(() => observed.onEvent(nothing)).not.toThrow()
    expect(() => observed.onEvent({ type: "request", requestId: "r" } as ObservedEvent)).not.toThrow()
    const { router } = setup({
      onEvent: observed.onEvent,
      instrument: {
        begin: () => ({
          sender: () => {
            throw new Error("no")
          },
          end: () => {
            throw new Error("no")
          },
        }),
      },
    })
    expect((await router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(200)
    const other = setup({
      instrument: {
        begin: () => {
          throw new Error("no")
        },
      },
    })
    expect((await other.router.fetch(new Request("http://misha.iterate.app/")))?.status).toBe(200)
  })

  it("is refused with a sentence if its options are wrong", () => {
    expect(() => observe({ lod: {} } as never)).toThrow("observe: lod is not an option (did you mean log?)")
    expect(() => observe({ log: { level: "loud" as never } })).toThrow(/^observe: log.level must be/)
    expect(() => observe({ tracing: {} })).toThrow("observe: tracing needs an export of traces")
    expect(() => observe({ log: { write: false } })).toThrow("observe: log.write false needs an export of logs")
    expect(() => setup({ instrument: {} as never })).toThrow("createRouter: instrument must be what observe returns")
  })
})

describe("the response with metrics", () => {
  it("is Prometheus' text, which no cache keeps", async () => {
    const observed = observe()
    observed.onEvent(requestEvent())
    const response = observed.metricsResponse()
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
    expect(response.headers.get("cache-control")).toBe("no-store")
    expect(await response.text()).toContain("# TYPE ingress_router_requests_total counter")
  })
})

describe("the layer", () => {
  it("counts in the registry of the program that builds it", async () => {
    const own: Metric.MetricRegistry = new Map()
    const observed = await Effect.runPromise(
      Effect.scoped(
        Effect.map(Layer.build(Layer.provide(layer(), Layer.succeed(Metric.MetricRegistry, own))), (context) =>
          Context.get(context, Observer),
        ),
      ),
    )
    observed.onEvent(requestEvent())
    expect(observed.metricsText()).toContain('ingress_router_requests_total{status="2xx",outcome="generated"} 1')
    expect(registry.size).toBe(0)
    expect(own.size).toBeGreaterThan(0)
  })
})
