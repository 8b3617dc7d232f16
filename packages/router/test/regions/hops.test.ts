/** Hops that nobody of ours sent, and hops that somebody has read on the way. */
import { generateTicketKeys } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { hopField } from "../../src/regions/hop-field.ts"
import type { Hop } from "../../src/regions/hop-field.ts"
import { timesInCdnLoop } from "../../src/regions/cdn-loop.ts"
import type { PolicyRequest, RegionEvent } from "../../src/router.ts"
import { keys } from "../fakes.ts"
import { startMachine } from "../machine.ts"
import type { StampedServer } from "../machine.ts"
import { ask, machineAt, startBalancer, startRegion } from "./regions.ts"
import type { TestRegion } from "./regions.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closing.splice(0).toReversed()) await close()
})

const other = (await generateTicketKeys("test")).signing
const visitor = { host: "misha.iterate.app", scheme: "https", clientAddress: "203.0.113.7", localPort: 443 } as const
const hop: Hop = { from: "iad", to: "fra", hops: 1, requestId: "abc-1", ...visitor }
const get = { method: "GET", path: "/a?b=1" }

let app: StampedServer
let fra: TestRegion
let seen: Pick<PolicyRequest, "host" | "scheme" | "clientAddress">[]
beforeEach(async () => {
  seen = []
  app = await startMachine()
  const watch = ({ host, scheme, clientAddress }: PolicyRequest) => void seen.push({ host, scheme, clientAddress })
  const record = { owner: "org_1", machine: machineAt(app.port), region: "fra" }
  const records = { "p:misha": record, "p:anna": record }
  fra = await startRegion({ self: "fra", balancers: {}, records, policies: [watch] })
  closing.push(() => app.close(), fra.close)
})

const send = (value: string, { method, path } = get, host = "anna.iterate.app", also: readonly string[] = []) =>
  ask(fra.port, path, { method, host, from: "127.0.0.9", headers: [`x-iterate-proxy-region-hop: ${value}`, ...also] })

const signed = (claims: Partial<Hop> = {}, key: SigningKey = keys.signing, request = get) =>
  hopField([key]).sign({ ...hop, ...claims }, request)

const refused = () => fra.events.filter((event): event is RegionEvent => event.type === "region")

/** The sender as the connection shows it, and what the field says. */
const own = { host: "anna.iterate.app", scheme: "http", clientAddress: "127.0.0.9" }
const signedFor = { host: visitor.host, scheme: visitor.scheme, clientAddress: visitor.clientAddress }

describe("a hop field", () => {
  it("that is valid says who asks, and for which host", async () => {
    expect((await send(await signed())).status).toBe(200)
    expect(seen).toEqual([signedFor])
    expect(refused()).toEqual([])
    expect(app.requests[0]!.headers).not.toHaveProperty("x-iterate-proxy-region-hop")
  })

  const at = async (ms: number, now = Date.now()) => {
    vi.useFakeTimers({ toFake: ["Date"], now: now + ms })
    const value = await signed()
    vi.useRealTimers()
    return value
  }
  const altered = async (change: (claims: Record<string, unknown>) => void) => {
    const [claims, mac] = (await signed()).split(".")
    const read = JSON.parse(Buffer.from(claims!, "base64url").toString())
    change(read)
    return `${Buffer.from(JSON.stringify(read)).toString("base64url")}.${mac}`
  }

  it.each<readonly [string, RegExp, () => string | Promise<string>]>([
    ["that is empty", /no router of ours wrote/, () => ""],
    ["that is any text", /no router of ours wrote/, () => "iad"],
    [
      "that is too long",
      /no router of ours wrote/,
      async () => `${"a".repeat(3_000)}.${(await signed()).split(".")[1]}`,
    ],
    ["without a signature", /no router of ours wrote/, async () => `${(await signed()).split(".")[0]}.`],
    ["signed by another key of the same kid", /not signed by a key/, () => signed({}, other)],
    [
      "whose claims were changed",
      /not signed by a key/,
      () => altered((claims) => (claims["clientAddress"] = "10.0.0.1")),
    ],
    [
      "whose time was made longer",
      /not signed by a key/,
      () => altered((claims) => (claims["until"] = Date.now() + 9_000)),
    ],
    ["of another path", /not signed by a key/, () => signed({}, keys.signing, { ...get, path: "/a?b=2" })],
    ["of another method", /not signed by a key/, () => signed({}, keys.signing, { ...get, method: "POST" })],
    ["for another region", /for another region/, () => signed({ to: "syd" })],
    ["that is over", /older than 30 s/, () => at(-36_000)],
    ["of a clock that is ahead", /older than 30 s, or newer/, () => at(36_000)],
    ["of more hops than there may be", /no router of ours wrote/, () => signed({ hops: 4 })],
    ["of no hop", /no router of ours wrote/, () => signed({ hops: 0 })],
    ["of an invalid host", /no router of ours wrote/, () => signed({ host: "a b" })],
  ])("%s is dropped: the request is its client's own", async (_, reason, value) => {
    expect((await send(await value())).status).toBe(200)
    expect(seen).toEqual([own])
    expect(refused()).toMatchObject([{ outcome: "hop_refused", reason: expect.stringMatching(reason), count: 1 }])
    expect(app.requests[0]!.headers).not.toHaveProperty("x-iterate-proxy-region-hop")
  })

  it("of a ticket, or of a machine's secret, is not one: each key is for one purpose", async () => {
    await send(await signed())
    const ticket = String(app.requests[0]!.headers["x-iterate-proxy-ticket"])
    seen.length = 0
    await send(ticket.split(".").slice(1).join("."))
    expect(seen).toEqual([own])
  })

  it("with the clock of the other region 4 s off is valid", async () => {
    const now = Date.now()
    for (const ms of [-34_000, 4_000]) {
      const value = await at(ms, now)
      vi.useFakeTimers({ toFake: ["Date"], now })
      await send(value)
    }
    expect(seen).toEqual([signedFor, signedFor])
  })

  it("cannot be named away, nor added to, by Connection", async () => {
    await send(await signed(), get, "anna.iterate.app", ["Connection: x-iterate-proxy-region-hop"])
    expect(seen).toEqual([signedFor])
  })

  it("that somebody has read is good for the same method, path and host, with the same visitor, and for nothing else", async () => {
    const read = await signed()
    await send(read)
    await send(read, { ...get, path: "/admin" })
    await send(read, { ...get, method: "DELETE" })
    await send(read, get, "third.iterate.app")
    expect(seen).toEqual([signedFor, own, own, signedFor])
  })

  it("that somebody has read does not carry the visitor's cookies", async () => {
    await send(await signed())
    expect(app.requests[0]!.headers).not.toHaveProperty("cookie")
  })

  it("is verified by each key, and signed by the first, so that keys rotate", async () => {
    const [older, newer] = [keys.signing, other]
    const field = hopField([newer, older])
    const verified = async (by: SigningKey) => field.verify(await hopField([by]).sign(hop, get), "fra", get)
    expect([await verified(older), await verified(newer)]).toMatchObject([signedFor, signedFor])
    expect(await hopField([older]).verify(await field.sign(hop, get), "fra", get)).toBe("unsigned")
  })

  it("counts a path as a URL has it, because a runtime sends it so", async () => {
    const value = await signed({}, keys.signing, { method: "GET", path: "/x/../a b\u00e9#c?d" })
    expect(
      await hopField([keys.signing]).verify(value, "fra", { method: "GET", path: "/a%20b%E9%23c?d" }),
    ).toMatchObject(signedFor)
  })

  it("is at most 2 kB, whatever the host and the names of regions", async () => {
    const longest = `${"a".repeat(63)}.`.repeat(3) + "b".repeat(61)
    const name = "\u{1f30d}".repeat(64)
    const address = "2001:db8:1111:2222:3333:4444:5555:6666"
    const value = await signed({ host: `${longest}:65535`, from: name, to: name, clientAddress: address })
    expect(value.length).toBeLessThan(2_048)
    expect(await hopField([keys.signing]).verify(value, name, get)).toMatchObject({ host: `${longest}:65535` })
  })
})

describe("CDN-Loop", () => {
  it.each([
    [[], 0],
    [["ingress-router"], 1],
    [["ingress-router, other", 'x; a="ingress-router, ingress-router", Ingress-Router;v=1'], 2],
    [['"ingress-router'], 0],
    [['x; a="\\", ingress-router, ingress-router'], 2],
  ])("%j names us %i times", (lines, times) => expect(timesInCdnLoop(lines, "ingress-router")).toBe(times))

  it("is read in time that grows with its length, whatever a client writes: a quarter of a megabyte of quotation marks without an end", () => {
    expect(timesInCdnLoop([`${'"\\'.repeat(2 ** 17)}, ingress-router`], "ingress-router")).toBe(1)
  })

  it("that names us three times already is 508, and nothing is sent", async () => {
    const balancer = await startBalancer()
    closing.push(balancer.close)
    const records = { "p:misha": { machine: machineAt(app.port), region: "fra" } }
    const iad = await startRegion({ self: "iad", balancers: { fra: `http://127.0.0.1:${balancer.port}` }, records })
    closing.push(iad.close)
    balancer.to = fra.port
    const times = (count: number) =>
      ask(iad.port, "/", { headers: [`CDN-Loop: ${Array(count).fill("ingress-router").join(", ")}`] })
    expect((await times(2)).status).toBe(200)
    expect((await times(3)).status).toBe(508)
    expect(balancer.connections).toBe(1)
  })

  it("of others is passed on", async () => {
    await send(await signed(), get, "anna.iterate.app", ["CDN-Loop: cdn.example.com; v=2"])
    expect(app.requests[0]!.headers["cdn-loop"]).toBe("cdn.example.com; v=2")
  })
})

describe("bounds per client", () => {
  it("are decided by who connects: hops have no vote on whether there is an unnamed load balancer", async () => {
    const warnings = () => fra.events.filter(({ type }) => type === "client_bounds")
    for (let at = 0; at < 260; at++) await send(await signed({ clientAddress: "10.0.0.7" }))
    expect(warnings()).toEqual([])
    // Two hops of many visitors for each request of the balancer's.
    for (let at = 0; at < 260; at++) {
      for (const from of [at, at + 1_000]) await send(await signed({ clientAddress: `203.0.113.${from % 250}` }))
      await ask(fra.port, "/", { from: "127.0.0.9" })
    }
    expect(warnings()).toMatchObject([{ active: false }])
  })
})
