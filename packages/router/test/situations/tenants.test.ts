/** Many tenants whose routes move, on real sockets: nobody gets what is another's. */
import { Agent, get } from "node:http"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { everything } from "../../../../test/requirements.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { RouteStore } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"
import { tableStore } from "../../src/stores/table.ts"
import { keys } from "../fakes.ts"
import { startPg } from "../registry/engines.ts"
import type { AnyRegistry } from "../registry/engines.ts"
import { noPostgres } from "../registry/postgres-server.ts"
import { domainOf, ownersOf, shopOf, Tenants, TENANTS } from "./tenants.ts"
import type { Seen } from "./tenants.ts"

const REQUESTS = everything ? 10_000 : 2_000
const CLIENTS = 16
/** How many of the requests are moves of a route instead. */
const MOVES = 0.08
const grammar = defineGrammar({ domains: ["iterate.app"] })

/** Another one in each run; a failure names it, and `INGRESS_SEED=<seed>` makes the same choices again. */
const seed = Number(process.env["INGRESS_SEED"] ?? Date.now() % 1_000_000)

/** Mulberry32. */
const random = (from: number) => () => {
  from = (from + 0x6d2b79f5) | 0
  let t = Math.imul(from ^ (from >>> 15), 1 | from)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
}

interface Reply {
  readonly status: number
  readonly code?: string
  readonly location?: string
  readonly body: string
}

type Kind = "name" | "port" | "machine" | "domain" | "shop"
const kinds: readonly Kind[] = ["name", "name", "port", "machine", "domain", "shop"]

interface Visit {
  readonly kind: Kind
  readonly tenant: number
  readonly host: string
}

/** What is wrong with a reply, or what it was. A name that moves may lead where it led, where it leads, or nowhere. */
const verdict = ({ kind, tenant, host }: Visit, { status, code, location, body }: Reply): string => {
  const allowed = kind === "shop" ? ownersOf(tenant) : [tenant]
  if (status === 308) {
    const named = /^http:\/\/(4096__)?t(\d+)-\d+\.iterate\.app\//.exec(location ?? "")
    if (kind !== "name" && kind !== "port") return `wrong: ${host} redirects to ${location}`
    const isOwn = Number(named?.[2]) === tenant && (named?.[1] !== undefined) === (kind === "port")
    return isOwn ? `${kind} 308` : `wrong: ${host} redirects to ${location}`
  }
  if (status === 503 && code === "MACHINE_DETACHED") return `${kind} detached`
  if (status !== 200)
    return [404, 410, 503].includes(status) ? `${kind} ${status}` : `wrong: ${host} is ${status} ${body}`
  const { machine, target, cookie } = JSON.parse(body) as Seen
  const [, ranBy] = /^mach_(\d+)x\d$/.exec(machine)!
  const port = kind === "port" ? "4096" : "3000"
  const isOwn =
    allowed.includes(Number(ranBy)) &&
    cookie === `tenant=${tenant}` &&
    target.startsWith(`${port}__`) &&
    (kind === "machine" ? host.startsWith(machine) : true)
  return isOwn ? `${kind} 200` : `wrong: ${host} got ${body}`
}

/** A place for the registry; `kill` and `heal` where it can fail. */
interface Place {
  readonly control: AnyRegistry
  readonly read: AnyRegistry
  readonly kill: () => Promise<void>
  readonly heal: () => Promise<void>
  readonly close: () => Promise<void>
}

const inMemory = async (tenants: Tenants): Promise<Place> => {
  const registry = memoryRegistry({ grammar, resolveTxt: tenants.resolveTxt })
  let isDown = false
  const never = () => new Promise<never>(() => undefined)
  const fails = async (): Promise<never> => {
    throw Object.assign(new Error("down"), { code: "ECONNREFUSED" })
  }
  // As a process of its own would see it: half of its calls fail while it is down, and half hang.
  let calls = 0
  const down = () => (calls++ % 2 === 0 ? fails() : never())
  const read: AnyRegistry = {
    ...registry,
    get: (key) => (isDown ? down() : registry.get(key)),
    snapshot: async (options) => (isDown ? fails() : registry.snapshot(options)),
    changes: async (since, options) => (isDown ? fails() : registry.changes(since, options)),
  }
  const set = (down: boolean) => async () => void (isDown = down)
  return { control: registry, read, kill: set(true), heal: set(false), close: async () => undefined }
}

const inPostgres = async (tenants: Tenants): Promise<Place> => {
  const { driver, server, close } = await startPg()
  const open = () => postgresRegistry({ grammar, resolveTxt: tenants.resolveTxt, ...driver })
  const control = open()
  await control.migrate()
  return { control, read: open(), kill: server.kill, heal: server.start, close }
}

describe.each([
  ["memory", inMemory, ""],
  ["Postgres", inPostgres, noPostgres],
] as const)("a hundred tenants in %s", (_, start, missing) => {
  describe.skipIf(missing !== "")(`whose routes move${missing}`, () => {
    let tenants: Tenants
    let place: Place
    beforeAll(async () => {
      tenants = await Tenants.start()
    })
    afterAll(() => tenants.close())
    beforeEach(async () => {
      place = await start(tenants)
      tenants.names.fill(1)
      await tenants.register(place.control)
    }, 60_000)
    afterEach(() => place.close())

    const stores: readonly [string, (registry: AnyRegistry) => Promise<RouteStore>][] = [
      [
        "a table",
        async (registry) => {
          const store = tableStore(registry, { authority: registry, maxMissAgeMs: 600_000 })
          await store.waitUntilLoaded()
          return store
        },
      ],
      [
        "layers",
        async (registry) => {
          const store = layeredStore({ authority: registry })
          void store.follow(registry)
          return store
        },
      ],
    ]

    it.each(stores)(
      `none of ${REQUESTS} requests crosses to another's, read from %s, and the database is killed midway`,
      async (name, make) => {
        const store = await make(place.read)
        const router = createRouter({
          grammar,
          store,
          providers: [local()],
          signingKey: keys.signing,
          unprovenMachines: true,
        })
        const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
        const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
        const visit = ({ host, tenant }: Visit) =>
          new Promise<Reply>((resolve, reject) => {
            const headers = { host, cookie: `tenant=${tenant}` }
            get({ agent, host: "127.0.0.1", port: listening.port, headers }, (response) => {
              let body = ""
              response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
              const { statusCode: status = 0, headers } = response
              const { location, "x-iterate-proxy-error": code } = headers as Record<string, string>
              response.on("end", () => resolve({ status, body, ...(location && { location }), ...(code && { code }) }))
            }).on("error", reject)
          })
        const draw = random(seed)
        const pick = <A>(from: readonly A[]): A => from[Math.floor(draw() * from.length)]!
        const next = (): Visit => {
          const tenant = Math.floor(draw() * TENANTS)
          const kind = pick(kinds)
          const slug = `t${tenant}-${Math.max(0, tenants.names[tenant]! - 1 - Math.floor(draw() * 1.5))}`
          const hosts: Record<Kind, string> = {
            name: `${slug}.iterate.app`,
            port: `4096__${slug}.iterate.app`,
            machine: `mach_${tenant}x${pick([0, 1])}.machines.iterate.app`,
            domain: domainOf(tenant),
            shop: shopOf(tenant),
          }
          return { kind, tenant, host: hosts[kind] }
        }

        const outcomes = new Map<string, number>()
        const count = (outcome: string) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        let sent = 0
        let isDown = false
        const client = async () => {
          while (sent < REQUESTS) {
            sent += 1
            if (sent === Math.floor(REQUESTS * 0.4)) {
              await place.kill()
              isDown = true
            }
            if (sent === Math.floor(REQUESTS * 0.6)) {
              await place.heal()
              isDown = false
            }
            if (draw() < MOVES) {
              // Fails while the database is down, and where another move was first.
              await tenants.move(Math.floor(draw() * TENANTS), draw()).then(
                () => count("moved"),
                () => count("not moved"),
              )
            }
            const each = next()
            const wasDown = isDown
            const outcome = verdict(each, await visit(each))
            count(outcome)
            if (outcome.startsWith("wrong")) throw new Error(`seed ${seed}: ${outcome}`)
            if (wasDown && isDown) count(`down ${outcome}`)
          }
        }
        try {
          await Promise.all(Array.from({ length: CLIENTS }, client))
          // All of it happened.
          for (const kind of ["name", "port", "machine", "domain", "shop"] as const) {
            expect(outcomes.get(`${kind} 200`), `seed ${seed}: ${kind}`).toBeGreaterThan(20)
            expect(outcomes.get(`down ${kind} 200`), `seed ${seed}: ${kind} while down`).toBeGreaterThan(5)
          }
          // The rarer ones only where there are requests enough for any seed.
          for (const outcome of everything
            ? ["name 308", "name 410", "name detached", "moved", "not moved"]
            : ["moved"]) {
            expect(outcomes.get(outcome), `seed ${seed}: ${outcome}`).toBeGreaterThan(0)
          }
          // A table has every route, and loses none with its source; layers do not know what nobody has asked for.
          const lost = [...outcomes.keys()].filter((outcome) => outcome.endsWith(" 503"))
          expect(name === "a table" ? lost : [], `seed ${seed}`).toEqual([])
          // And when nothing moves any more, every key leads where the registry says.
          const { signal } = new AbortController()
          const led = async (from: RouteStore) => {
            const all = await Promise.all(
              tenants.keys().map(async (key) => [key, await from.get(key, { signal })] as const),
            )
            return all.map(([key, found]) => [key, found.status, found.status === "hit" ? found.record.version : 0])
          }
          const expected = await led(place.control)
          await expect.poll(() => led(store), { timeout: 45_000, interval: 50 }).toEqual(expected)
          expect(expected.filter(([, status]) => status === "hit").length).toBeGreaterThan(TENANTS * 3)
        } finally {
          agent.destroy()
          await listening.close({ deadlineMs: 0 })
          await store.dispose?.()
        }
      },
      300_000,
    )
  })
})
