import { once } from "node:events"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { defaultHeaderNames, generateTicketKeys } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { MachineNotRunning, ProviderUnavailable } from "../src/contract/errors.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions } from "../src/transport/machine-fetcher.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { effectSpans } from "../src/machines/spans.ts"

const canary = "c4n4ry-s3cr3t"
const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: { token: canary } }

let server: Server
let origin: string
let keys: Awaited<ReturnType<typeof generateTicketKeys>>
beforeAll(async () => {
  keys = await generateTicketKeys("test")
  server = createServer((request, response) => {
    const status = Number(/^\/(\d+)/.exec(request.url!)?.[1])
    if (request.url === "/reset") return request.socket.resetAndDestroy()
    if (request.url === "/never") return undefined
    if (request.url === "/nonsense") return request.socket.end(`nonsense ${canary}\r\n\r\n`)
    const error = request.url!.includes("stamped")
      ? { [defaultHeaderNames.stamp]: "1", [defaultHeaderNames.error]: "MACHINE_MISMATCH" }
      : {}
    return response.writeHead(status, error).end(`page of the platform about ${canary}`)
  })
  server.on("upgrade", (request, socket) => {
    const stamp = request.url!.includes("stamped") ? `${defaultHeaderNames.stamp}: 1\r\n` : ""
    const status = Number(/^\/(\d+)/.exec(request.url!)?.[1] ?? 400)
    socket.on("error", () => {})
    if (request.url === "/never") return
    socket.end(`HTTP/1.1 ${status} x\r\n${stamp}Content-Length: 0\r\n\r\n`)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

interface Scene {
  readonly path?: string
  readonly endpoint?: Partial<Endpoint> & { readonly headers?: Readonly<Record<string, string>> }
  readonly provider?: Partial<MachineProvider>
  readonly options?: FetcherOptions
  readonly tag: string
}

const status = (state: MachineStatus["state"]): Partial<MachineProvider> => ({ status: async () => ({ state }) })
const asleep: Partial<MachineProvider> = {
  capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
  resolve: () => Promise.reject(new MachineNotRunning({ provider: "fake", machine: "m1", state: "stopped" })),
}

const providerOf = ({ endpoint, provider }: Scene): MachineProvider => ({
  type: "fake",
  capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
  resolve: () => Promise.resolve({ origin, epoch: "1", ttlMs: 60_000, headers: { "x-token": canary }, ...endpoint }),
  ...provider,
})

const scenes: readonly (readonly [string, Scene])[] = [
  ["an answer of the platform", { path: "/404", tag: "ProviderUnavailable" }],
  ["a bad gateway of a stopped machine", { path: "/502", provider: status("stopped"), tag: "MachineNotRunning" }],
  ["a bad gateway of a machine that is gone", { path: "/502", provider: status("gone"), tag: "MachineNotFound" }],
  ["a bad gateway of a machine that runs", { path: "/502", provider: status("running"), tag: "PortClosed" }],
  ["another machine", { path: "/421stamped", tag: "MachineMismatch" }],
  [
    "credentials that ended",
    { path: "/307", provider: { classify: () => "refresh-credentials" }, tag: "ProviderAuth" },
  ],
  ["nobody", { endpoint: { origin: "http://127.0.0.1:1" }, tag: "PortClosed" }],
  ["a reset", { path: "/reset", tag: "*" }],
  ["nonsense", { path: "/nonsense", tag: "*" }],
  ["silence", { path: "/never", options: { headersTimeoutMs: 500 }, tag: "UpstreamTimeout" }],
  ["a name that cannot be looked up", { endpoint: { origin: "http://m1.invalid" }, tag: "ProviderUnavailable" }],
  ["an origin with credentials", { endpoint: { origin: `http://u:${canary}@h` }, tag: "MachineRecordInvalid" }],
  ["an origin with a path", { endpoint: { origin: `http://h/${canary}` }, tag: "MachineRecordInvalid" }],
  ["a value HTTP does not allow", { endpoint: { headers: { "x-token": `${canary}\n` } }, tag: "MachineRecordInvalid" }],
  ["a value beyond latin1", { endpoint: { headers: { "x-token": `${canary}\u2713` } }, tag: "MachineRecordInvalid" }],
  ["a name HTTP does not allow", { endpoint: { headers: { [`x ${canary}`]: "1" } }, tag: "MachineRecordInvalid" }],
  [
    "an adapter that is slow",
    {
      provider: { resolve: () => new Promise(() => {}) },
      options: { resolveTimeoutMs: 30 },
      tag: "ProviderUnavailable",
    },
  ],
  ["a machine asleep", { provider: asleep, tag: "MachineNotRunning" }],
  [
    "a machine that cannot be started",
    {
      provider: {
        ...asleep,
        start: () => Promise.reject(new ProviderUnavailable({ provider: "fake", machine: "m1", reason: "HTTP 500" })),
      },
      tag: "ProviderUnavailable",
    },
  ],
  [
    "a machine that does not wake",
    { provider: { ...asleep, start: () => Promise.resolve() }, options: { wakeTimeoutMs: 30 }, tag: "MachineStarting" },
  ],
]

const told = (error: unknown): string =>
  inspect(error, { depth: Infinity, showHidden: true }) +
  String(error) +
  JSON.stringify(error) +
  String((error as Error).stack)

describe("a secret of an endpoint, a record or a ticket is not told by", () => {
  it.each(scenes)("%s", async (_, scene) => {
    const fetcher = machineFetcher(providerOf(scene), machine, { signingKey: keys.signing, ...scene.options })
    const request = () => new Request(`https://app.example.test${scene.path ?? "/"}`)
    const failures = [
      await fetcher(request()).catch((error: unknown) => error),
      await fetcher.connect(request()).catch((error: unknown) => error),
    ]
    expect(scene.tag === "*" || (failures[0] as { readonly _tag: string })._tag === scene.tag).toBe(true)
    for (const failure of failures) {
      expect(failure).toHaveProperty("_tag")
      expect(told(failure)).not.toContain(canary)
      // The beginning of every ticket.
      expect(told(failure)).not.toContain("eyJ")
    }
  })

  it.each(scenes)("the spans of %s", async (_name, scene) => {
    const spans: unknown[] = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      },
    })
    const { headersTimeoutMs: _, ...options } = scene.options ?? {}
    const machines = makeMachines({ providers: [providerOf(scene)], ...options }, effectSpans)
    const failed = machines
      .reach(machine, 3000, {
        send: () => Effect.fail(new SendFailure("reset", "maybe")),
        discard: () => {},
        replayable: () => true,
      })
      .pipe(Effect.exit, Effect.withSpan("request"), Effect.withTracer(tracer))
    await Effect.runPromise(failed)
    expect(spans.length).toBeGreaterThan(0)
    expect(inspect(spans, { depth: 8 })).not.toContain(canary)
  })
})

describe("what a platform says about itself", () => {
  it("is read up to 4 096 octets, for its adapter alone", async () => {
    const bodies: (string | undefined)[] = []
    const classify: NonNullable<MachineProvider["classify"]> = ({ body }) => {
      bodies.push(body)
      return "check-status"
    }
    const long = createServer((request, response) => {
      if (request.url === "/coded") response.setHeader("content-encoding", "gzip")
      response.writeHead(400)
      if (request.url === "/slow") return response.write("first")
      return response.end("x".repeat(100_000))
    }).listen(0, "127.0.0.1")
    await once(long, "listening")
    const endpoint = { origin: `http://127.0.0.1:${(long.address() as AddressInfo).port}` }
    const fetcher = machineFetcher(providerOf({ endpoint, provider: { classify }, tag: "" }), machine)
    for (const path of ["/", "/slow", "/coded"]) {
      await expect(fetcher(new Request(`https://app.example.test${path}`))).rejects.toMatchObject({
        _tag: "ProviderUnavailable",
      })
    }
    expect(bodies).toEqual(["x".repeat(4_096), "first", undefined])
    long.closeAllConnections()
    long.close()
  })
})
