/** `authorize`: whom the platform lets in, how long that holds, and what a stranger can make of it. */
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { authorize, hideForbidden, visibility } from "../../src/policies.ts"
import type { AuthorizeOptions, Decide } from "../../src/policies.ts"
import type { Policy, PolicyRequest } from "../../src/router.ts"
import { machine } from "../fakes.ts"
import { named, toMachine, visits } from "./visit.ts"

const url = "https://4096__misha.iterate.app/"
const as = (subject: string): RequestInit => ({ headers: { "x-visitor": subject } })

/** A clock that only the test moves. Promises go on by themselves. */
const heldClock = (): ((ms: number) => void) => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] })
  onTestFinished(() => void vi.useRealTimers())
  return (ms) => void vi.advanceTimersByTime(ms)
}

const made = (
  decide: Decide,
  options?: AuthorizeOptions,
  routes?: Parameters<typeof visits>[1],
  who: Policy = named(),
) => {
  const asked: string[] = []
  const counted: Decide = (visitor, route) => {
    asked.push(`${visitor.subject} ${route.key} ${route.machine?.id}:${route.port}`)
    return decide(visitor, route)
  }
  return { asked, ...visits([who, visibility(), authorize(counted, options)], routes) }
}

describe("a visitor", () => {
  it("who is a member is let in, and who is none is 403 before anything wakes", async () => {
    const { visit, resolved, sent } = made(async ({ subject }) => subject === "anna")
    expect((await visit(url, as("anna"))).status).toBe(200)
    const refused = await visit(url, as("eve"))
    expect([refused.status, refused.code, resolved(), sent.length]).toEqual([403, "ACCESS_DENIED", 1, 1])
  })

  it("is asked about with the record, the machine and the port, and never the hostname's form", async () => {
    let seen: unknown
    const { visit } = made((visitor, route) => ((seen = [visitor, route]), true))
    await visit(url, as("anna"))
    expect(seen).toEqual([
      { subject: "anna", by: "session", id: "s_anna" },
      {
        key: "p:misha",
        record: expect.objectContaining({ kind: "machine", externalId: "prj_1", owner: "org_1" }),
        machine: machine("mach_1"),
        port: 4096,
        settings: {},
      },
    ])
  })

  it("who is refused goes on by a grant besides, and by nothing else", async () => {
    const by = (granted: boolean) => {
      const otherwise = { subject: "link", by: "link", id: "l_1", granted }
      return made(() => false, { ttlMs: 0 }, undefined, named({ otherwise })).visit(url, as("eve"))
    }
    expect([(await by(true)).status, (await by(false)).status]).toEqual([200, 403])
    const nested = { subject: "link", by: "link", id: "l_1", granted: true }
    const twice = named({ otherwise: { ...nested, otherwise: nested } })
    expect((await made(() => true, {}, undefined, twice).visit(url, as("eve"))).status).toBe(500)
  })

  it("is not asked about for a public port, without a visitor, and with a grant for the route", async () => {
    const open = made(() => false, {}, { "p:misha": toMachine({ visibility: "public" }) })
    expect((await open.visit(url, as("eve"))).status).toBe(200)
    const stranger = made(() => true)
    expect((await stranger.visit(url)).status).toBe(401)
    const granted = made(() => false, {}, undefined, named({ granted: true }))
    expect((await granted.visit(url, as("link"))).status).toBe(200)
    expect([open.asked, stranger.asked, granted.asked]).toEqual([[], [], []])
  })

  it("may inspect where the platform says so, and is told to later policies", async () => {
    const seen: unknown[] = []
    const look: Policy = { name: "look", onRoute: ({ visitor }) => void seen.push(visitor) }
    const decide: Decide = ({ subject }) =>
      subject === "anna" ? { mayInspect: true } : subject === "bob" ? { mayInspect: false } : {}
    const { visit } = visits([named(), visibility(), authorize(decide), look])
    for (const subject of ["anna", "anna", "bob", "carl"]) await visit(url, as(subject))
    expect(seen).toMatchObject([{ mayInspect: true }, { mayInspect: true }, { mayInspect: false }, { subject: "carl" }])
    expect(seen[3]).not.toHaveProperty("mayInspect")
  })

  it("may not open a former name, a removed one or one without a machine that is not theirs", async () => {
    const { visit } = made(
      () => false,
      {},
      {
        "p:old": { kind: "redirect", to: { project: "misha" }, status: 308 },
        "p:gone": { kind: "removed" },
        "p:asleep": { kind: "detached" },
      },
    )
    for (const name of ["old", "gone", "asleep"]) {
      const { status, location } = await visit(`https://${name}.iterate.app/`, as("eve"))
      expect([status, location]).toEqual([403, null])
    }
  })
})

describe("a decision", () => {
  it.each([true, false])("holds for 4 s from when it was asked for, whatever it is: %s", async (decision) => {
    const advance = heldClock()
    const { visit, asked } = made(() => decision)
    for (const ms of [0, 3_999, 1]) {
      advance(ms)
      await visit(url, as("anna"))
    }
    expect(asked.length).toBe(2)
  })

  it("that is withdrawn ends within 5 s, also if it took its time", async () => {
    const advance = heldClock()
    let isMember = true
    const { visit } = made(() => {
      const found = isMember
      return new Promise((resolve) => void setTimeout(() => resolve(found), 2_000))
    })
    const first = visit(url, as("anna"))
    await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0))
    // The platform looked, and the access was withdrawn before it said what it had found.
    isMember = false
    await vi.advanceTimersByTimeAsync(2_000)
    expect((await first).status).toBe(200)
    advance(2_100)
    const later = visit(url, as("anna"))
    await vi.advanceTimersByTimeAsync(2_000)
    expect((await later).status).toBe(403)
  })

  it("is asked for again after a second where what is open is checked again", async () => {
    const advance = heldClock()
    let isMember = true
    const policy = authorize(() => isMember)
    const route = {
      key: "p:misha",
      record: { kind: "machine", version: 1 },
      machine: machine("mach_1"),
      port: 4096,
      settings: {},
    }
    const visitor = { subject: "anna", by: "session", id: "s_anna" }
    const ask = async (recheck?: "access" | "ports") =>
      ((await policy.onRoute!({ visitor, recheck, waitUntil: () => {} } as never, route as never)) ?? "passes") ===
      "passes"
    expect(await ask()).toBe(true)
    isMember = false
    advance(900)
    expect(await ask("access")).toBe(true)
    advance(200)
    expect([await ask("ports"), await ask("access"), await ask()]).toEqual([true, false, false])
  })

  it("about what is open is not shared with a request's, which was asked for before access was withdrawn", async () => {
    const asked: (() => void)[] = []
    const policy = authorize(() => (asked.length > 0 ? false : new Promise((decide) => asked.push(() => decide(true)))))
    const record = { kind: "machine", version: 1 }
    const route = { key: "p:misha", record, machine: machine("mach_1"), port: 4096, settings: {} }
    const visitor = { subject: "anna", by: "session", id: "s_anna" }
    const isOpen = async (recheck?: "access") =>
      (await policy.onRoute!({ visitor, recheck, waitUntil: () => {} } as never, route as never)) === undefined
    const request = isOpen()
    expect(await isOpen("access")).toBe(false)
    asked[0]!()
    expect(await request).toBe(true)
  })

  it("ends at once with a new generation, a new version and another owner of the name", async () => {
    const { visit, routes, asked } = made((_, { record }) => record.owner === "org_1" && (record.generation ?? 0) < 2)
    const status = async () => (await visit(url, as("anna"))).status
    expect([await status(), await status(), asked.length]).toEqual([200, 200, 1])
    routes.attach("p:misha", toMachine({ generation: 1 }))
    expect([await status(), asked.length]).toEqual([200, 2])
    routes.attach("p:misha", toMachine({ generation: 2 }))
    expect([await status(), asked.length]).toEqual([403, 3])
    routes.attach("p:misha", toMachine({ owner: "org_2" }))
    expect([await status(), asked.length]).toEqual([403, 4])
  })

  it("is not shared with a question that began before the new generation", async () => {
    const answers: ((decision: boolean) => void)[] = []
    const { visit, routes } = made(() => new Promise<boolean>((resolve) => void answers.push(resolve)))
    const before = visit(url, as("anna"))
    await vi.waitFor(() => expect(answers.length).toBe(1))
    routes.attach("p:misha", toMachine({ generation: 1 }))
    const after = visit(url, as("anna"))
    await vi.waitFor(() => expect(answers.length).toBe(2))
    answers[1]!(false)
    expect((await after).status).toBe(403)
    // What comes late is about the earlier record, and is kept as that.
    answers[0]!(true)
    expect((await before).status).toBe(200)
    const third = visit(url, as("anna"))
    await vi.waitFor(() => expect(answers.length).toBe(3))
    answers[2]!(false)
    expect((await third).status).toBe(403)
  })

  it("is for one credential, one record, one machine and one port", async () => {
    const { visit, asked } = made(
      () => true,
      {},
      { "p:misha": toMachine(), "p:banana": toMachine(), "m:mach_1": toMachine() },
    )
    for (const host of ["misha", "8080__misha", "banana", "mach_1.machines"]) {
      for (const subject of ["anna", "bob"]) {
        await visit(`https://${host}.iterate.app/`, as(subject))
        await visit(`https://${host}.iterate.app/`, as(subject))
      }
    }
    expect(asked.length).toBe(8)
  })

  it("is not another's whose subject looks like the rest of its name", async () => {
    const who: Policy = {
      name: "who",
      onRoute: ({ header }) => {
        const [subject, by, id] = header("x-visitor")!.split("|") as [string, string, string]
        return { visitor: { subject, by, id } }
      },
    }
    const { visit, asked } = made(({ subject }) => subject === "a", {}, undefined, who)
    const status = async (visitor: string) => (await visit(url, as(visitor))).status
    expect(await status("a|b c|d")).toBe(200)
    for (const other of ["a b|c|d", "a b c|x|d", "A|b c|d"]) expect(await status(other)).toBe(403)
    expect(asked.length).toBe(4)
  })

  it("is asked for once by requests that come together", async () => {
    let say: (decision: boolean) => void = () => {}
    const { visit, asked } = made(() => new Promise<boolean>((resolve) => void (say = resolve)))
    const together = Array.from({ length: 50 }, () => visit(url, as("anna")))
    await vi.waitFor(() => expect(asked.length).toBe(1))
    say(true)
    expect(new Set((await Promise.all(together)).map(({ status }) => status))).toEqual(new Set([200]))
    expect(asked.length).toBe(1)
  })

  it("is asked for by each request with a ttlMs of 0", async () => {
    const { visit, asked } = made(() => true, { ttlMs: 0 })
    for (let i = 0; i < 3; i++) await visit(url, as("anna"))
    expect(asked.length).toBe(3)
  })

  it("is not lost to one visitor who opens every port: what is kept is divided among subjects", async () => {
    let asked = 0
    const policy = authorize(() => ((asked += 1), true), { ttlMs: 3_600_000 })
    const record = { kind: "machine", version: 1, epoch: 1, machine: machine("mach_1") } as const
    const target = { _tag: "Target", kind: "project", slug: "misha", domain: "iterate.app" } as const
    const open = (subject: string, port: number) =>
      policy.onRoute!(
        { visitor: { subject, by: "session", id: "s_1" }, waitUntil: () => {} } as unknown as PolicyRequest,
        {
          key: "p:misha",
          target,
          record,
          machine: record.machine,
          port,
          settings: {},
        },
      )
    await open("anna", 4096)
    for (let port = 1; port <= 20_000; port++) await open("eve", port)
    expect(asked).toBe(20_001)
    await open("anna", 4096)
    expect(asked).toBe(20_001)
    // The first of hers has made room.
    await open("eve", 1)
    expect(asked).toBe(20_002)
  })
})

describe("a platform that cannot tell", () => {
  it.each<[string, Decide]>([
    [
      "throws",
      () => {
        throw new Error("hunter2")
      },
    ],
    ["rejects", () => Promise.reject(Object.assign(new Error("hunter2"), { code: "ECONNREFUSED" }))],
    ["says nothing", (() => undefined) as unknown as Decide],
    ["says null", (() => null) as unknown as Decide],
    ["says 1", (() => 1) as unknown as Decide],
    ["says yes", (async () => "yes") as unknown as Decide],
    ["says what is no right", (() => ({ mayInspect: "yes" })) as unknown as Decide],
  ])("and %s lets nobody in: 502, nothing of it shown, and asked again", async (_, decide) => {
    const { visit, asked, resolved } = made(decide)
    for (const time of [1, 2]) {
      const { status, code, text } = await visit(url, as("anna"))
      expect([status, code, resolved(), asked.length]).toEqual([502, "AUTH_UNAVAILABLE", 0, time])
      expect(text).not.toContain("hunter2")
    }
  })

  it("in time lets nobody in, and what it says later is not used", async () => {
    heldClock()
    let say: (decision: boolean) => void = () => {}
    const { visit, asked } = made(() => new Promise<boolean>((resolve) => void (say = resolve)), { timeoutMs: 1_000 })
    const late = visit(url, as("anna"))
    await vi.waitFor(() => expect(asked.length).toBe(1))
    await vi.advanceTimersByTimeAsync(1_001)
    expect((await late).code).toBe("AUTH_UNAVAILABLE")
    say(true)
    const again = visit(url, as("anna"))
    await vi.waitFor(() => expect(asked.length).toBe(2))
    say(false)
    expect((await again).status).toBe(403)
  })

  it("does not take from others what it has told before", async () => {
    let isDown = false
    const { visit } = made(() => {
      if (isDown) throw new Error("down")
      return true
    })
    await visit(url, as("anna"))
    isDown = true
    expect([(await visit(url, as("anna"))).status, (await visit(url, as("bob"))).status]).toEqual([200, 502])
  })
})

it("checks what it is given", () => {
  // @ts-expect-error no function
  expect(() => authorize({})).toThrow("authorize: decide must be a function")
  expect(() => authorize(() => true, { ttlMs: -1 })).toThrow("authorize: ttlMs must be a number from 0 up")
  expect(() => authorize(() => true, { timeoutMs: 9_000 })).toThrow(
    "authorize: timeoutMs must be a number from 1 to 8000",
  )
  // @ts-expect-error no such option
  expect(() => authorize(() => true, { ttl: 1 })).toThrow("authorize: ttl is not an option (did you mean ttlMs?)")
})

describe("before the policy that proves the visitor", () => {
  it.each([
    ["as it is", (decide: Policy): readonly Policy[] => [decide]],
    ["hidden", (decide: Policy) => hideForbidden([decide])],
  ])("nobody is let in whom the platform was not asked about: %s", async (_, mounted) => {
    const decide = vi.fn<() => boolean>(() => false)
    const { visit, sent } = visits([...mounted(authorize(decide)), named(), visibility()])
    expect([(await visit(url, as("eve"))).status, sent.length, decide.mock.calls.length]).toEqual([500, 0, 0])
    expect((await visit(url)).status).toBe(401)
  })

  it("a grant for the route, and the same visitor with more, may come later", async () => {
    const granted = visits([authorize(() => false), named({ granted: true }), visibility()])
    expect((await granted.visit(url, as("anna"))).status).toBe(200)
    const same = visits([named(), authorize(() => true), named({ mayInspect: true }), visibility()])
    expect((await same.visit(url, as("anna"))).status).toBe(200)
  })
})
