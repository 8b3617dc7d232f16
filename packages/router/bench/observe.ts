// node --conditions=@project-ingress/source packages/router/bench/observe.ts: what watching a request costs, alone and in a request.
import { observe } from "../src/observability.ts"
import type { Exporter, Observation } from "../src/observability.ts"
import { createRouter } from "../src/router.ts"
import type { RequestEvent, Router, RouterOptions } from "../src/router.ts"
import type { Sender } from "../src/program/sender.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { url } from "@project-ingress/providers/url"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

const CALLS = 100_000
const REQUESTS = 2_500
const ROUNDS = 6

const { signing } = await generateTicketKeys("bench")
const metadata = { origin: "https://machine.example" }

const make = (more: Partial<RouterOptions>): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({ "p:misha": { machine: { id: "m", type: "url", externalId: "m", metadata } } }),
    providers: [url({ allowHosts: ["machine.example"] })],
    signingKey: signing,
    unprovenMachines: true,
    transport: async () => new Response("ok", { headers: { "x-iterate-proxy-stamp": "unproven" } }),
    ...more,
  })

/** Spans that end, and go nowhere. */
const nowhere: Exporter = {
  signals: ["traces"],
  open: (context) => ({
    context: Context.add(context, Tracer.Tracer, Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })),
    flush: async () => {},
    close: async () => {},
  }),
}

/** Microseconds of processor time for each of so many; the best of the rounds, because the computer does other things as well. */
const best = async (count: number, rounds: readonly (() => Promise<void>)[]): Promise<number[]> => {
  const found = rounds.map(() => Infinity)
  for (let round = -2; round < ROUNDS; round++) {
    for (const [at, run] of rounds.entries()) {
      const before = process.cpuUsage()
      await run()
      const { user, system } = process.cpuUsage(before)
      if (round >= 0) found[at] = Math.min(found[at]!, (user + system) / count)
    }
  }
  return found
}
const rounded = (value: number): number => Math.round(value * 100) / 100

const observations: Readonly<Record<string, Observation>> = {
  metrics: observe(),
  "metrics, lines": observe({ log: { write: () => {} } }),
  "metrics, 1 % of traces": observe({ tracing: { sampleRatio: 0.01, maxTracesPerSecond: 100_000 }, export: nowhere }),
  "metrics, all traces": observe({ tracing: { maxTracesPerSecond: 100_000 }, export: nowhere }),
}

// The event of a real request, and its head.
let event: RequestEvent | undefined
const request = new Request("https://3000__misha.iterate.app/", { headers: { accept: "text/html" } })
await make({ onEvent: (reported) => void (reported.type === "request" && (event = reported)) }).fetch(request)
const headers = ["host", "3000__misha.iterate.app", "accept", "text/html", "user-agent", "bench", "via", "1.1 a"]
const head = {
  method: "GET",
  host: "3000__misha.iterate.app",
  scheme: "https",
  headers,
  requestId: "r",
  upgrade: false,
} as const
const machine = { id: "m", type: "url" }
const send = { send: () => Effect.succeed({ status: 200, header: () => undefined, response: undefined }) } as never

for (const [name, { instrument, onEvent }] of Object.entries(observations)) {
  const watch = async () => {
    for (let n = 0; n < CALLS; n++) {
      const watched = instrument.begin(head)!
      const sender: Sender<undefined> | undefined = watched.sender?.(send, "x-iterate-proxy-fwd-")
      if (sender !== undefined) Effect.runSync(sender.send({ headers, machine } as never))
      onEvent(event!)
      watched.end(event)
    }
  }
  const [microseconds] = await best(CALLS, [watch])
  console.log(JSON.stringify({ watching: name, "µs a request": rounded(microseconds!) }))
}

const { onEvent, instrument } = observe()
const routers = [make({}), make({ onEvent, instrument })]
const [alone, watched] = await best(
  REQUESTS,
  routers.map((router) => async () => {
    for (let n = 0; n < REQUESTS; n++) await router.fetch(request)
  }),
)
console.log(
  JSON.stringify({
    "a whole request, µs": rounded(alone!),
    "with metrics": rounded(watched!),
    ratio: rounded(watched! / alone!),
  }),
)
