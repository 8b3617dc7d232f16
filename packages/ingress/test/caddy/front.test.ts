import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import type { CaddyOptions } from "../../src/caddy.ts"
import { caddyFront } from "../../src/caddy-front.ts"
import type { CaddyFrontOptions } from "../../src/caddy-front.ts"
import { FrontRefused, PortInUse } from "../../src/resource/errors.ts"
import { applyTo, planOf } from "./apply.ts"
import { get, openWebSocket, startApp } from "./apps.ts"
import type { App, Got } from "./apps.ts"
import { ingress, inputOf } from "./ingresses.ts"
import { caddyBinary, NO_CADDY, startCaddy } from "./real-caddy.ts"
import type { RealCaddy } from "./real-caddy.ts"

let caddy: RealCaddy
let [a, b]: App[] = []
let [http, https] = [0, 0]
let options: CaddyOptions = {}

beforeAll(async () => {
  if (caddyBinary === undefined) return
  caddy = await startCaddy()
  ;[a, b] = await Promise.all([startApp("a"), startApp("b")])
})
afterAll(async () => Promise.all([caddy?.stop(), a?.close(), b?.close()]))
beforeEach(async () => {
  if (caddyBinary === undefined) return
  await caddy.restart()
  // New ones each time: those that the killed Caddy had may be another test's by now.
  ;[http, https] = await Promise.all([freePort(), freePort()])
  options = {
    listenAddress: "127.0.0.1",
    publicPorts: { [http]: 80, [https]: 443 },
    certificates: { issuer: "internal" },
  }
})

const front = (more: CaddyFrontOptions = {}) => caddyFront({ admin: caddy.admin, export: options, ...more })
/** One plain rule for each hostname. */
const routes = async (apps: Readonly<Record<string, App | undefined>>, port?: number) =>
  inputOf([
    await ingress(
      "one",
      Object.entries(apps).map(([hostname, app]) => ({
        match: { hostname, ...(port === undefined ? {} : { port }) },
        target: { url: app!.url },
      })),
    ),
  ])
const appOf = async (hostname: string) => (await get(http, hostname)).seen?.app

/**
 * Sends requests, each on a connection of its own, until it is stopped; gives what came. A connection that is reset is tried once more, as
 * browsers do: Caddy 2.6 opens its listeners again at every change, and what the kernel has queued at the old one is lost, unless
 * `net.ipv4.tcp_migrate_req` is 1.
 */
const load = (request: () => Promise<Got>) => {
  const seen: string[] = []
  const stopped = new AbortController()
  const again = (error: NodeJS.ErrnoException) => {
    if (error.code !== "ECONNRESET") throw error
    return request()
  }
  const worker = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const result = await request()
        .catch(again)
        .then(
          ({ status, seen }) => seen?.app ?? String(status),
          (error: Error) => error.message,
        )
      seen.push(result)
    }
  }
  const done = Promise.all(Array.from({ length: 4 }, worker))
  return {
    seen,
    stop: async () => {
      stopped.abort()
      await done
      return [...new Set(seen)].toSorted()
    },
  }
}

describe.skipIf(caddyBinary === undefined)(`the front of Caddy${caddyBinary ? "" : `: ${NO_CADDY}`}`, () => {
  it("plans without a change, applies, reads back, and has nothing to do the second time", async () => {
    const input = await routes({ "a.example.com": a })
    const before = await caddy.config()
    const plan = await planOf(front({ binary: "caddy" }), input)
    expect(plan.diff).toMatch(/^\+ +"a\.example\.com"$/m)
    await plan.validate()
    expect(await caddy.config()).toEqual(before)
    await expect(plan.readBack()).rejects.toThrow("runs another configuration")
    await plan.apply()
    await plan.readBack()
    expect(await appOf("a.example.com")).toBe("a")
    expect((await planOf(front(), input)).diff).toBe("")
    // The admin block stays, whatever the options say: another one would move the API.
    expect(await caddy.config()).toMatchObject({ admin: (before as { admin: object }).admin })
    await plan.rollBack()
    expect(await caddy.config()).toEqual(before)
    await plan.rollBack()
  })

  it("loses no request while targets change, and sends to the new one from the moment that it is applied", async () => {
    const before = await routes({ "a.example.com": a, "s.example.com": a })
    await applyTo(front(), before)
    const requests = load(() => get(http, "a.example.com"))
    const slow = get(http, "s.example.com", "/slow")
    const one = front()
    for (const app of [b, a, b]) {
      await applyTo(one, await routes({ "a.example.com": app, "s.example.com": app }))
      const { length } = requests.seen
      expect(await appOf("a.example.com")).toBe(app === a ? "a" : "b")
      // The four that were under way at that moment may still be of the one before.
      await expect.poll(() => requests.seen.length).toBeGreaterThan(length + 8)
      expect(new Set(requests.seen.slice(length + 4, length + 8))).toEqual(new Set([app === a ? "a" : "b"]))
    }
    expect((await slow).seen?.app).toBe("a")
    expect(await requests.stop()).toEqual(["a", "b"])
  })

  it("loses no handshake while the configuration changes", async () => {
    const tls = (more: readonly string[]) =>
      Promise.all(
        ["a.example.com", ...more].map((hostname, at) =>
          ingress(`i${at}`, [{ match: { hostname }, target: { url: a!.url }, tls: true }]),
        ),
      ).then((all) => inputOf(all))
    await applyTo(front(), await tls([]))
    const visit = () => get(https, "a.example.com", "/", { tls: true })
    await expect
      .poll(() =>
        visit().then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200)
    const requests = load(visit)
    for (const more of [["b.example.com"], ["b.example.com", "c.example.com"], []])
      await applyTo(front(), await tls(more))
    expect(await requests.stop()).toEqual(["a"])
  })

  it("ends WebSockets at a change, even of another hostname, and keeps them at an identical document", async () => {
    const input = await routes({ "a.example.com": a })
    await applyTo(front(), input)
    const { socket, closed } = await openWebSocket(http, "a.example.com")
    await caddy.load(await caddy.config())
    await appOf("a.example.com")
    expect(socket.destroyed).toBe(false)
    await applyTo(front(), await routes({ "a.example.com": a, "b.example.com": b }))
    await closed
  })

  it("refuses a configuration that was not generated here, unless it shall be adopted", async () => {
    const port = await freePort()
    const { admin } = (await caddy.config()) as { admin: object }
    const server = {
      listen: [`127.0.0.1:${port}`],
      routes: [{ handle: [{ handler: "static_response", body: "hand-made" }] }],
    }
    const foreign = {
      admin,
      logging: { logs: { default: { level: "ERROR" } } },
      apps: { http: { servers: { mine: server } } },
    }
    expect((await caddy.load(foreign)).status).toBe(200)
    const input = await routes({ "a.example.com": a })
    const plan = await planOf(front(), input)
    expect(plan.diff).not.toContain("hand-made")
    await expect(plan.validate()).rejects.toMatchObject({
      _tag: "FrontRefused",
      reason: expect.stringContaining("adopt"),
    })
    const adopting = await planOf(front({ adopt: true }), input)
    await adopting.validate()
    await adopting.apply()
    await adopting.readBack()
    expect(await appOf("a.example.com")).toBe("a")
    // What is the operator's stays.
    expect(await caddy.config()).toMatchObject({ logging: foreign.logging })
    await adopting.rollBack()
    expect((await get(port, "x")).body).toBe("hand-made")
  })

  it("4-24: keeps the old configuration when Caddy refuses the new one, and says why only in the cause", async () => {
    await applyTo(front(), await routes({ "a.example.com": a }))
    // A module that the installed Caddy was not built with.
    const issuer = { email: "ops@example.com", dns: { provider: "cloudflare" as const } }
    const strange = { export: { ...options, certificates: { issuer } } }
    const match = { hostname: "b.example.com" }
    const input = inputOf([await ingress("one", [{ match, target: { url: b!.url }, tls: true }])])
    const checked = await planOf(front({ ...strange, binary: "caddy" }), input)
    const plan = await planOf(front(strange), input)
    for (const step of [checked.validate, plan.apply]) {
      const error = await step().catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(FrontRefused)
      expect(String(error)).not.toContain("cloudflare")
      expect(String((error as FrontRefused).cause)).toContain("dns.providers.cloudflare")
    }
    await plan.rollBack()
    expect(await appOf("a.example.com")).toBe("a")
    // Caddy moves its admin API even when it refuses, if the document has another `admin`: here it is still there.
    expect(await caddy.config()).toMatchObject({ apps: {} })
  })

  it("4-23: finds a busy port before Caddy is given it, so that no listener is left behind", async () => {
    await applyTo(front(), await routes({ "a.example.com": a }))
    const busy = createServer().listen(0, "127.0.0.1")
    await once(busy, "listening")
    const { port } = busy.address() as AddressInfo
    const both = inputOf([
      ...(await routes({ "a.example.com": b })).ingresses,
      await ingress("two", [{ match: { hostname: "b.example.com", port }, target: { url: b!.url } }]),
    ])
    for (let run = 0; run < 6; run += 1) {
      await expect(applyTo(front(), both)).rejects.toMatchObject({
        _tag: "PortInUse",
        port,
        message: `caddy: port ${port} is in use`,
      })
    }
    const seen = new Set<string | undefined>()
    for (let run = 0; run < 30; run += 1) seen.add(await appOf("a.example.com"))
    expect([...seen]).toEqual(["a"])
    // Without the probe Caddy says it, too.
    const unprobed = await planOf(front({ probeListeners: false }), both)
    await unprobed.validate()
    await expect(unprobed.apply()).rejects.toBeInstanceOf(PortInUse)
    busy.close()
  })

  it("takes no port of another Caddy, with which it would share it, and no address that there is not", async () => {
    const other = await startCaddy()
    const port = await freePort()
    const input = await routes({ "b.example.com": b }, port)
    await applyTo(caddyFront({ admin: other.admin, export: options }), input)
    await expect(applyTo(front(), input)).rejects.toMatchObject({ _tag: "PortInUse", port })
    await other.stop()
    await applyTo(front(), input)
    const elsewhere = front({ export: { ...options, listenAddress: "192.0.2.1" } })
    await expect(applyTo(elsewhere, input)).rejects.toMatchObject({ reason: "cannot listen on 192.0.2.1" })
    // The same port on every address is Caddy's own to take.
    await applyTo(front({ export: { ...options, listenAddress: "0.0.0.0" } }), input)
    expect((await get(port, "b.example.com")).seen?.app).toBe("b")
  })

  it("applies nothing over somebody else's change, and does not roll that back", async () => {
    const first = await planOf(front(), await routes({ "a.example.com": a }))
    const second = await planOf(front(), await routes({ "b.example.com": b }))
    await first.apply()
    await expect(second.apply()).rejects.toMatchObject({
      _tag: "FrontRefused",
      reason: expect.stringContaining("somebody else"),
    })
    await expect(second.rollBack()).rejects.toMatchObject({ _tag: "FrontRefused" })
    await first.readBack()
  })

  it("finds what is missing after Caddy was killed, and puts it back", async () => {
    const input = await routes({ "a.example.com": a })
    const plan = await planOf(front(), input)
    await plan.apply()
    await caddy.restart()
    await expect(plan.readBack()).rejects.toThrow("runs another configuration")
    await plan.rollBack()
    expect(await applyTo(front(), input)).not.toBe("")
    expect(await appOf("a.example.com")).toBe("a")
  })

  it("rejects each step when the admin API is gone", async () => {
    const plan = await planOf(front(), await routes({ "a.example.com": a }))
    const gone = once(caddy.process, "exit")
    caddy.process.kill("SIGKILL")
    await gone
    for (const step of [plan.apply, plan.readBack, plan.rollBack]) await expect(step()).rejects.toThrow("ECONNREFUSED")
    await expect(planOf(front(), inputOf([]))).rejects.toThrow("ECONNREFUSED")
  })

  it("shows no secret in a diff, and still that one changed", async () => {
    const guarded = async (value: string) =>
      inputOf([
        await ingress("one", [
          {
            match: { hostname: "a.example.com" },
            target: { url: a!.url },
            requireHeader: { name: "x-api-key", value },
          },
        ]),
      ])
    const [first, second] = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"] as const
    const created = await applyTo(front(), await guarded(first))
    expect(created).toContain("(secret ")
    const changed = await applyTo(front(), await guarded(second))
    expect(changed).toMatch(/^-.*\(secret \w{8}\)"$/m)
    for (const secret of [first, second]) expect(created + changed).not.toContain(secret)
  })

  it("speaks to a Unix socket, whose origin has to be said", async () => {
    const folder = mkdtempSync(join(tmpdir(), "caddy-admin-"))
    const socket = join(folder, "admin.sock")
    const admin = { listen: `unix/${socket}`, origins: ["caddy.internal"] }
    expect((await caddy.load({ admin })).status).toBe(200)
    const input = await routes({ "a.example.com": a })
    const one = front({ admin: `unix/${socket}`, origin: "caddy.internal" })
    await applyTo(one, input)
    expect(await appOf("a.example.com")).toBe("a")
    expect((await planOf(one, input)).diff).toBe("")
    await expect(planOf(front({ admin: `unix/${socket}` }), input)).rejects.toMatchObject({
      _tag: "AdminRefused",
      status: 403,
    })
    rmSync(folder, { recursive: true })
  })
})

it("refuses options that are invalid", () => {
  const given = (options: object) => () => caddyFront(options)
  expect(given({ admin: "localhost:2019" })).toThrow("caddyFront: admin must be http://host:port or unix//path")
  expect(given({ admin: "https://127.0.0.1:2019" })).toThrow("admin must be")
  expect(given({ export: { resolver: "127.0.0.1" } })).toThrow("caddyFront: resolver must be host:port")
  expect(given({ export: { storage: "/x/{env.HOME}" } })).toThrow("caddyFront: storage must be a path without braces")
  expect(given({ adapt: true })).toThrow("did you mean adopt?")
})
