import { describe, expect, it } from "vitest"
import { mailReceiver, r2MailKeeper } from "../../src/email.ts"
import { mailId } from "../../src/email/mail.ts"
import type { MailBucket, MailEvent, MailOptions } from "../../src/email.ts"
import { regions } from "../../src/regions.ts"
import type { Router } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { fake, hostnames, machine, setup, stamped, values } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"
import { mailTo, memoryKeeper, message } from "./fakes.ts"

const store = () =>
  memoryStore({
    "p:misha": { machine: machine("mach_1"), services: { mail: 2525 }, visibility: "private" },
    "p:plain": { machine: machine("mach_2") },
    "p:old": { kind: "redirect", to: { project: "misha" }, status: 308 },
    "p:away": { kind: "redirect", to: "https://evil.example/", status: 302 },
    "p:port": { kind: "redirect", to: "https://4096__misha.iterate.app/", status: 302 },
    "p:machine": { kind: "redirect", to: "https://4096__mach_1.iterate.app/x", status: 302 },
    "p:gone": { kind: "removed" },
    "p:empty": { kind: "detached" },
  })

const receiver = (
  options: Partial<MailOptions> & { readonly answer?: (outgoing: Outgoing) => Response | Promise<Response> } = {},
) => {
  const { answer = () => stamped(null, { status: 204 }), ...more } = options
  const posted: (Outgoing & { text: string })[] = []
  const { router } = setup({
    store: store(),
    answer: async (outgoing) => {
      posted.push({ ...outgoing, text: await new Response(outgoing.body).text() })
      return answer(outgoing)
    },
  })
  const events: MailEvent[] = []
  const mail = mailReceiver(router, { grammar: hostnames, onEvent: (event) => events.push(event), ...more })
  return { mail, posted, events }
}

describe("a mail for a project", () => {
  it("is posted byte for byte to the machine's service, though visitors need an access policy there", async () => {
    const { mail, posted, events } = receiver()
    expect(await mail.receive(mailTo("anything@misha.iterate.app"))).toEqual({ outcome: "delivered" })
    const [{ method, target, headers, text }] = posted as [(typeof posted)[0]]
    expect([method, target, text]).toEqual(["POST", "/", message])
    const field = (name: string) => values(headers, name)
    expect(field("content-type")).toEqual(["message/rfc822"])
    expect(field("x-iterate-proxy-target-host")).toEqual(["2525__misha.iterate.app"])
    expect(field("x-iterate-mail-from")).toEqual(["ann@example.com"])
    expect(field("x-iterate-mail-to")).toEqual(["anything@misha.iterate.app"])
    expect(field("x-iterate-mail-via")).toEqual(["cloudflare"])
    expect(events).toMatchObject([{ outcome: "delivered", hostname: "mail--misha.iterate.app", bytes: message.length }])
    expect(JSON.stringify(events)).not.toMatch(/ann@|anything/)
  })

  it("has the same id when it comes again, and another one for another recipient", async () => {
    const { mail, posted } = receiver()
    for (const to of ["a@misha.iterate.app", "a@misha.iterate.app", "b@misha.iterate.app"])
      await mail.receive(mailTo(to))
    const [first, again, other] = posted.map(({ headers }) => values(headers, "x-iterate-mail-id")[0])
    expect(first).toMatch(/^[\da-f]{32}$/)
    expect([again === first, other === first]).toEqual([true, false])
  })

  it("goes to a port and a path where the options name them, and follows a rename", async () => {
    const { mail, posted } = receiver({ service: 8025, path: "/inbox?x=1" })
    await mail.receive(mailTo("a@old.iterate.app"))
    expect(posted.map(({ target }) => target)).toEqual(["/inbox?x=1"])
    expect(values(posted[0]!.headers, "x-iterate-proxy-target-host")).toEqual(["8025__misha.iterate.app"])
  })

  it("of an address outside the grammar goes to the project that the platform names", async () => {
    const asked: string[] = []
    const { mail, posted } = receiver({
      resolve: async (address) => (asked.push(address), address === "bot@example.com" ? "misha" : undefined),
    })
    expect(await mail.receive(mailTo("bot@example.com"))).toEqual({ outcome: "delivered" })
    expect((await mail.receive(mailTo("cat@example.com"))).outcome).toBe("rejected")
    await mail.receive(mailTo("a@misha.iterate.app"))
    expect([posted.length, asked]).toEqual([2, ["bot@example.com", "cat@example.com"]])
  })
})

describe("a mail for a project that redirects to a port of another one", () => {
  it("is posted to that one's service for mail, and to no port that its owner has closed", async () => {
    const { mail, posted } = receiver()
    await mail.receive(mailTo("anything@port.iterate.app"))
    const targets = posted.map(({ headers, target }) => [values(headers, "x-iterate-proxy-target-host")[0], target])
    expect(targets).toEqual([["2525__misha.iterate.app", "/"]])
  })
})

describe("a mail for a machine of another region", () => {
  it("goes to the machine itself: the router there would take it for a visitor's request", async () => {
    const posted: Outgoing[] = []
    const { router } = setup({
      store: memoryStore({ "p:misha": { machine: machine("mach_1"), services: { mail: 2525 }, region: "fra" } }),
      answer: (outgoing) => {
        posted.push(outgoing)
        return stamped(null, { status: outgoing.origin === "https://fra.example" ? 401 : 204 })
      },
      regions: regions({ self: "iad", balancers: { fra: "https://fra.example" } }),
    })
    const mail = mailReceiver(router, { grammar: hostnames })
    expect(await mail.receive(mailTo("anything@misha.iterate.app"))).toEqual({ outcome: "delivered" })
    expect(posted.map(({ headers }) => values(headers, "x-iterate-mail-to"))).toEqual([["anything@misha.iterate.app"]])
  })
})

describe("a mail that cannot be delivered", () => {
  it.each([
    ["a project that there is not", "a@nobody.iterate.app", "rejected"],
    ["a project without the service", "a@plain.iterate.app", "rejected"],
    ["a project that redirects to a machine", "a@machine.iterate.app", "rejected"],
    ["a removed project", "a@gone.iterate.app", "rejected"],
    ["a project that redirects to another site", "a@away.iterate.app", "rejected"],
    ["a machine", "a@mach_1.iterate.app", "rejected"],
    ["a port", "a@4096__misha.iterate.app", "rejected"],
    ["the platform's own domain", "a@iterate.app", "rejected"],
    ["anybody else: there is no relay", "a@example.com", "rejected"],
    ["two addresses in one", "a@misha.iterate.app,b@example.com", "rejected"],
    ["a percent hack", "b%example.com@misha.iterate.app@example.com", "rejected"],
    ["a project without a machine", "a@empty.iterate.app", "failed"],
  ])("to %s: %s is %s", async (_, to, outcome) => {
    const { mail, posted } = receiver()
    expect((await mail.receive(mailTo(to))).outcome).toBe(outcome)
    expect(posted).toEqual([])
  })

  it.each([
    [200, "delivered"],
    [204, "delivered"],
    [302, "failed"],
    [400, "rejected"],
    [404, "rejected"],
    [413, "rejected"],
    [408, "failed"],
    [425, "failed"],
    [429, "failed"],
    [500, "failed"],
    [503, "failed"],
  ])("because the app responds %d is %s", async (status, outcome) => {
    const { mail } = receiver({ answer: () => stamped(null, { status }) })
    expect((await mail.receive(mailTo("a@misha.iterate.app"))).outcome).toBe(outcome)
  })

  it("says to the sender what the app said, in one line of visible ASCII", async () => {
    const body = `no\u0007t in ö office\r\nX-Evil: 1\n${"x".repeat(5_000)}`
    const answer = () => stamped(body, { status: 450, headers: { "content-type": "text/plain" } })
    const { mail } = receiver({ answer })
    expect(await mail.receive(mailTo("a@misha.iterate.app"))).toEqual({
      outcome: "rejected",
      reason: "no?t in ? office",
    })
    const html = receiver({ answer: () => stamped("<p>no", { status: 450, headers: { "content-type": "text/html" } }) })
    expect(await html.mail.receive(mailTo("a@misha.iterate.app"))).toMatchObject({
      reason: "the address does not take this message (450)",
    })
  })

  it("because the machine's own proxy says that the port is closed is not the app's refusal", async () => {
    const answer = () => stamped(null, { status: 403, headers: { "x-iterate-proxy-error": "PORT_FORBIDDEN" } })
    expect(await receiver({ answer }).mail.receive(mailTo("a@misha.iterate.app"))).toEqual({
      outcome: "failed",
      reason: "PORT_FORBIDDEN",
    })
  })

  it("because it is too large is rejected before anything is sent or kept", async () => {
    const { keeper, waiting } = memoryKeeper()
    const { mail, posted } = receiver({ maxBytes: message.length - 1, keeper })
    expect(await mail.receive(mailTo("a@misha.iterate.app"))).toMatchObject({ outcome: "rejected" })
    expect([posted.length, waiting.size]).toEqual([0, 0])
  })

  it("because a hook throws is tried again, and nothing of the hook is shown", async () => {
    const { mail, events } = receiver({ resolve: () => Promise.reject(new Error("hunter2")) })
    expect((await mail.receive(mailTo("bot@example.com"))).outcome).toBe("failed")
    expect(JSON.stringify(events)).not.toContain("hunter2")
  })
})

describe("in a bucket", () => {
  it("what can never be delivered keeps nothing else from being tried", async () => {
    const stored = new Map<string, Uint8Array>()
    const bucket: MailBucket = {
      put: async (key, value) => stored.set(key, value),
      get: async () => null,
      list: async ({ prefix, limit, startAfter = "" }) => {
        const keys = [...stored.keys()].filter((key) => key.startsWith(prefix) && key > startAfter).toSorted()
        return { objects: keys.slice(0, limit).map((key) => ({ key })) }
      },
      delete: async (key) => void stored.delete(key),
    }
    const keeper = r2MailKeeper(bucket)
    const ids = await Promise.all(Array.from({ length: 200 }, (_, i) => mailId(mailTo(`a${i}@misha.iterate.app`))))
    for (const id of ids) await keeper.put(id, mailTo("a@misha.iterate.app"))
    const tried = new Set<string>()
    // Each is left out of 40 lists of 50 of 200 with a probability of 0.75^40: one in 100 000.
    for (let round = 0; round < 40; round++) for (const id of await keeper.list(50)) tried.add(id)
    expect(tried.size).toBeGreaterThan(195)
    expect(await keeper.list(50)).toHaveLength(50)
    expect(new Set(await keeper.list(500))).toEqual(new Set(ids))
  })
})

describe("with a keeper", () => {
  it("no mail is lost: it is kept before the first attempt, and goes when the machine is there", async () => {
    const { keeper, waiting, removed } = memoryKeeper()
    let up = false
    let keptDuringAttempt = 0
    const { mail, posted } = receiver({
      keeper,
      answer: () => ((keptDuringAttempt = waiting.size), stamped(null, { status: up ? 200 : 503 })),
    })
    expect((await mail.receive(mailTo("a@misha.iterate.app"))).outcome).toBe("kept")
    expect([keptDuringAttempt, waiting.size]).toEqual([1, 1])
    expect(await mail.retry()).toEqual({ delivered: 0, rejected: 0, waiting: 1 })
    up = true
    expect(await mail.retry()).toEqual({ delivered: 1, rejected: 0, waiting: 0 })
    expect(posted.map(({ text }) => text)).toEqual([message, message, message])
    expect(removed.map(([, why]) => why)).toEqual(["delivered"])
    expect(await mail.retry()).toEqual({ delivered: 0, rejected: 0, waiting: 0 })
  })

  it("what an app refuses later is rejected there, where it can be kept apart", async () => {
    const { keeper, removed } = memoryKeeper()
    let status = 503
    const { mail } = receiver({ keeper, answer: () => stamped(null, { status }) })
    await mail.receive(mailTo("a@misha.iterate.app"))
    status = 451
    expect(await mail.retry()).toEqual({ delivered: 0, rejected: 1, waiting: 0 })
    expect(removed.map(([, why]) => why)).toEqual(["rejected"])
  })

  it("whose storage is down, mail is delivered all the same, or is a temporary failure", async () => {
    const { keeper, state } = memoryKeeper()
    state.fails = true
    let status = 200
    const { mail } = receiver({ keeper, answer: () => stamped(null, { status }) })
    expect((await mail.receive(mailTo("a@misha.iterate.app"))).outcome).toBe("delivered")
    status = 503
    expect((await mail.receive(mailTo("a@misha.iterate.app"))).outcome).toBe("failed")
  })
})

describe("a machine that sleeps", () => {
  const asleep = (wake?: MailOptions["wake"]) => {
    let starts = 0
    const provider = fake({
      capabilities: { runtimes: ["node"], webSocket: true, wake: "start", ports: "any", interceptedHeaders: [] },
      resolve: async () => {
        if (starts === 0) throw Object.assign(new Error("asleep"), { _tag: "MachineNotRunning" })
        return { origin: "http://ext-mach-1.test", epoch: "1", ttlMs: 0 }
      },
      start: async () => void starts++,
      status: async () => ({ state: starts === 0 ? "stopped" : "running" }) as never,
    })
    const header = (name: string) => (name === "x-iterate-proxy-stamp" ? "unproven" : undefined)
    const machines = { readinessProbe: async () => ({ status: 401, header }) }
    const { router } = setup({ store: store(), providers: [provider], machines })
    const mail = mailReceiver(router, { grammar: hostnames, ...(wake === undefined ? {} : { wake }) })
    return { mail, starts: () => starts }
  }

  it("is not started by a mail, unless the platform's hook says so", async () => {
    const still = asleep()
    expect((await still.mail.receive(mailTo("a@misha.iterate.app"))).outcome).toBe("failed")
    expect(still.starts()).toBe(0)
    const woken = asleep(({ from }) => from === "ann@example.com")
    await woken.mail.receive(mailTo("a@misha.iterate.app", { from: "spam@example.com" }))
    expect(woken.starts()).toBe(0)
    await woken.mail.receive(mailTo("a@misha.iterate.app"))
    expect(woken.starts()).toBe(1)
  })
})

describe("fields of mail", () => {
  it("cannot be sent by a visitor, in any spelling", async () => {
    const { router, sent } = setup({ store: memoryStore({ "p:misha": { machine: machine("mach_1") } }) })
    const headers = { "x-iterate-mail-from": "boss@example.com", "X-Iterate-Mail-Id": "1", "x-iterate-mail-to": "a" }
    await router.fetch(new Request("http://misha.iterate.app/", { method: "POST", headers, body: "x" }))
    expect(sent).toHaveLength(1)
    expect(JSON.stringify(sent[0]!.headers)).not.toMatch(/iterate-mail/i)
  })

  it.each([
    ["", ""],
    ["ann%b@example.com", "ann%25b@example.com"],
    ["a\r\nX-Evil: 1@example.com", "a%0D%0AX-Evil:%201@example.com"],
    ["ö@example.com", "%C3%B6@example.com"],
    ["\ud800@example.com", "%EF%BF%BD@example.com"],
  ])("hold the sender %j as %j", async (from, expected) => {
    const { mail, posted } = receiver()
    await mail.receive(mailTo("a@misha.iterate.app", { from }))
    expect(values(posted[0]!.headers, "x-iterate-mail-from")).toEqual([expected])
  })
})

describe("mailReceiver", () => {
  it.each([
    [{}, "mailReceiver: grammar must be what defineGrammar returns"],
    [{ grammar: hostnames, service: "Mail!" }, "service must be a service's name or a port"],
    [{ grammar: hostnames, service: 0 }, "service must be a service's name or a port"],
    [{ grammar: hostnames, path: "inbox" }, "path must be a path that begins with /"],
    [{ grammar: hostnames, maxBytes: 0 }, "maxBytes must be an integer"],
    [{ grammar: hostnames, wake: "yes" }, "wake must be a boolean or a function"],
    [{ grammar: hostnames, keeper: {} }, "keeper must be a mail keeper"],
    [{ grammar: hostnames, keper: {} }, "keper is not an option (did you mean keeper?)"],
  ])("refuses %j", (options, error) => {
    expect(() => mailReceiver(setup().router, options as never)).toThrow(error)
  })

  it("takes a router that createRouter made, and retries only with a keeper", async () => {
    expect(() => mailReceiver({} as Router, { grammar: hostnames })).toThrow("what createRouter returned")
    await expect(receiver().mail.retry()).rejects.toThrow("retry needs the option keeper")
  })
})
