// pnpm bench policies: what a request costs with all policies on, for a session that was seen before, beside the same request without.
import { createHash } from "node:crypto"
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { layer as machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { handle, layerMemory } from "../src/effect.ts"
import type { Sender, VisitorRequest } from "../src/effect.ts"
import {
  allowCidrs,
  authorize,
  canonicalHost,
  hideForbidden,
  hopLimit,
  rateLimit,
  requireHeader,
  responseHeaders,
  visibility,
} from "../src/policies.ts"
import type { Policy, Visitor } from "../src/router.ts"

const REQUESTS = 4_000
const ROUNDS = 5
/** Rounds before, in which code is compiled. */
const WARM_UP = -3
const TARGET_US = 5

const grammar = defineGrammar({ domains: ["iterate.app"], services: { opencode: 4096 } })
const { signing } = await generateTicketKeys("bench")

/** As a session that was verified before: a look-up by the cookie's value. */
const sessions = new Map<string, { readonly visitor: Visitor }>([
  ["4f0b1e7c9a", { visitor: { subject: "user_1", by: "session", id: "s_1" } }],
])
const who: Policy = {
  name: "who",
  onRoute: ({ header }) => sessions.get(/(?:^|; )__Host-session=([\w-]+)/.exec(header("cookie") ?? "")?.[1] ?? ""),
}

const all: Readonly<Record<string, () => readonly Policy[]>> = {
  "rateLimit, client": () => [rateLimit({ key: "client", burst: 1e9, perSecond: 1e9 })],
  hopLimit: () => [hopLimit({ max: 20 })],
  canonicalHost: () => [canonicalHost({ grammar })],
  allowCidrs: () => [allowCidrs()],
  requireHeader: () => [requireHeader()],
  "a session's visitor": () => [who],
  visibility: () => [visibility({ grammar, signIn: { location: () => "/login" } })],
  authorize: () => [authorize(async () => true, { ttlMs: 3_600_000 })],
  "rateLimit, project": () => [rateLimit({ key: "project", burst: 1e9, perSecond: 1e9 })],
  responseHeaders: () => [responseHeaders()],
}
/** Measured behind the visitor, whom they need. */
const needVisitor: ReadonlySet<string> = new Set(["visibility", "authorize"])
/** Lets through what has a setting, where the policy that carries it out is not what is measured. */
const open: Policy = { name: "open", enforces: ["visibility", "allowCidrs", "requireHeader", "responseHeaders"] }

const browser = [
  ["Connection", "keep-alive"],
  ["sec-ch-ua", '"Chromium";v="142", "Not_A Brand";v="99"'],
  ["sec-ch-ua-mobile", "?0"],
  [
    "User-Agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  ],
  ["Accept", "application/json"],
  ["Origin", "https://4096__misha.iterate.app"],
  ["Sec-Fetch-Site", "same-origin"],
  ["Sec-Fetch-Mode", "cors"],
  ["Sec-Fetch-Dest", "empty"],
  ["Referer", "https://4096__misha.iterate.app/"],
  ["Accept-Encoding", "gzip, deflate, br, zstd"],
  ["Accept-Language", "en-GB,en;q=0.9"],
  ["Cookie", "theme=dark; __Host-session=4f0b1e7c9a; sidebar=1"],
  ["X-Key", "key"],
].flat()
const request: VisitorRequest = {
  method: "POST",
  host: "4096__misha.iterate.app",
  path: "/api/items?page=2",
  headers: ["Host", "4096__misha.iterate.app", ...browser],
  scheme: "https",
  clientAddress: "192.0.2.7",
  upgrade: false,
  signal: new AbortController().signal,
}

const sender: Sender<undefined> = {
  send: ({ changes }) => {
    const header = (name: string) => (name === "x-iterate-proxy-stamp" ? "unproven" : undefined)
    changes.edit?.({ status: 200, header }, ["Content-Type", "application/json", "Server", "app", "ETag", '"1"'])
    return Effect.succeed({ status: 200, header, response: undefined })
  },
  discard: () => undefined,
  replayable: () => false,
}

/** Sends so many requests through the program, and gives their CPU time in µs each. */
const measured = (policies: readonly Policy[]): (() => Promise<number>) => {
  const program = handle({ grammar, signingKey: signing, unprovenMachines: true, policies: [open, ...policies] })
  const services = Layer.mergeAll(
    layerMemory({
      "p:misha": {
        machine: { id: "mach_1", type: "fake", externalId: "1", metadata: {} },
        owner: "org_1",
        ports: {
          4096: {
            visibility: "private",
            allowCidrs: ["10.0.0.0/8", "192.0.2.0/24"],
            requireHeader: { name: "x-key", sha256: createHash("sha256").update("key").digest("hex") },
            responseHeaders: { set: { "x-robots-tag": "noindex" }, remove: ["server"] },
          },
        },
      },
    }),
    machines({
      providers: [
        {
          type: "fake",
          capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
          resolve: async () => ({ origin: "http://machine.test", epoch: "1", ttlMs: 3_600_000 }),
        },
      ],
    }),
  )
  const run = Effect.gen(function* () {
    for (let at = 0; at < REQUESTS; at++) {
      const handled = yield* program(request, sender)
      if (handled._tag !== "Machine") throw new Error("a request that was not let through")
    }
  }).pipe(Effect.provide(services))
  return async () => {
    const before = process.cpuUsage()
    await Effect.runPromise(run)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / REQUESTS
  }
}

const everything = Object.values(all).flatMap((make) => make())
/** What is decided, without what is edited in header fields afterwards. */
const deciding = everything.map((policy) => {
  const phases = Object.entries(policy).filter(([phase]) => phase !== "onForward" && phase !== "onResponse")
  return Object.fromEntries(phases) as unknown as Policy
})
const ways: Record<string, () => Promise<number>> = {
  "no policies": measured([]),
  "all, deciding": measured(deciding),
  "all, deciding, hidden": measured(hideForbidden(deciding)),
  "all, with edits of fields": measured(everything),
  ...Object.fromEntries(
    Object.entries(all).map(([name, make]) => [name, measured(needVisitor.has(name) ? [who, ...make()] : make())]),
  ),
}
ways["all, deciding, authorize calls each time"] = measured([
  ...deciding.filter(({ name }) => name !== "authorize"),
  authorize(async () => true, { ttlMs: 0 }),
])
const samples = new Map<string, number[]>()
for (let round = WARM_UP; round < ROUNDS; round++) {
  // In turn within a round: what disturbs a shared machine disturbs neighbours alike.
  for (const [name, run] of Object.entries(ways)) {
    const us = await run()
    if (round >= 0) samples.set(name, [...(samples.get(name) ?? []), us])
  }
}
const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[values.length >> 1]!
const none = samples.get("no policies")!
const more = (name: string): number => median(samples.get(name)!.map((us, round) => us - none[round]!))

console.log(
  `CPU µs of a request through the router's program, Node ${process.version}, the median of ${ROUNDS} rounds\n`,
)
console.log(`  no policies                                  ${median(none).toFixed(2)}`)
for (const name of samples.keys()) {
  if (name !== "no policies") console.log(`  ${name.padEnd(44)}+${more(name).toFixed(2)}`)
}
console.log(
  `\nA decision costs at most ${TARGET_US} µs more with all: ${more("all, deciding") <= TARGET_US ? "met" : "missed"}`,
)
