import { MachineNotFound, MachineNotRunning, ProviderRateLimited } from "@project-ingress/providers"
import { machineRef } from "@project-ingress/providers/adapter"
import { describe, expect, it } from "vitest"
import { rateLimit } from "../src/policies/rate-limit.ts"
import { explainedSettings } from "../src/program/explanation.ts"
import { AccessDenied } from "../src/router.ts"
import type { Explanation, Policy, RouterEvent, Visitor } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, machine, setup, stamped } from "./fakes.ts"

const url = "https://misha.iterate.app/a?b=1"
const policySteps = ({ trace }: Explanation) => trace.filter(({ step }) => step === "policy")

const member: Visitor = { subject: "user_1", by: "session", id: "s1" }
const session: Policy = {
  name: "session",
  explainable: true,
  onRequest: ({ header }) => (header("cookie") === "id=1" ? { visitor: member } : undefined),
}
const membersOnly: Policy = {
  name: "members only",
  enforces: ["visibility"],
  explainable: true,
  onRoute: ({ visitor }) =>
    visitor === undefined ? { deny: new AccessDenied({ reason: "nobody is signed in" }) } : undefined,
}

describe("explain, of a request", () => {
  it("asks the policies that may be asked, and shows each one that let it pass", async () => {
    const look: Policy = { name: "look", explainable: true, onRequest: () => undefined, onRoute: () => undefined }
    const { router, sent } = setup({ policies: [session, look, membersOnly] })
    const explanation = await router.explain(new Request(url, { headers: { cookie: "id=1" } }))
    expect(policySteps(explanation)).toEqual([
      { step: "policy", outcome: "session", decision: "visitor", visitor: { by: "session", subject: "user_1" } },
      { step: "policy", outcome: "look", decision: "passed" },
      { step: "policy", outcome: "look", decision: "passed" },
      { step: "policy", outcome: "members only", decision: "passed" },
    ])
    expect(explanation.steps).toContain("policy session knows the visitor user_1 by session")
    expect(explanation.stop).toBeUndefined()
    expect(sent).toEqual([])
  })

  it("shows where it stops, what the response would be, and what is behind it", async () => {
    const { router } = setup({ policies: [session, membersOnly] })
    const explanation = await router.explain(new Request(url))
    const { stop, trace } = explanation
    expect(stop).toEqual({ after: 7, status: 403, code: "ACCESS_DENIED", reason: "nobody is signed in" })
    expect(trace[stop!.after - 1]).toEqual({ step: "policy", outcome: "members only", decision: "denied" })
    expect(trace.at(-1)).toEqual({ step: "provider", outcome: "fake", configured: true })
    const response = await router.fetch(new Request(url))
    expect([response?.status, response?.headers.get("x-iterate-proxy-error")]).toEqual([stop!.status, stop!.code])
  })

  it("asks no policy that may count or consume something, and says so once of each", async () => {
    const counted: string[] = []
    const limiter = { limit: async ({ key }: { key: string }) => ({ success: counted.push(key) < 0 }) }
    const code: Policy = {
      name: "code",
      // Safe on every path but the one where a code is used up.
      explainable: ({ path }) => !path.startsWith("/_/callback"),
      onRequest: ({ path }) => void (path.startsWith("/_/callback") && counted.push("code")),
    }
    const both: Policy = {
      name: "both",
      onRequest: () => void counted.push("a"),
      onRoute: () => void counted.push("b"),
    }
    const { router } = setup({
      policies: [
        rateLimit({ binding: limiter, key: "client" }),
        rateLimit({ binding: limiter, key: "machine" }),
        code,
        both,
      ],
    })
    const decisions = async (path: string) =>
      policySteps(await router.explain(new Request(new URL(path, url)))).map((step) => [
        step.outcome,
        step.step === "policy" && step.decision,
      ])
    expect(await decisions("/_/callback?code=1")).toEqual([
      ["rate limit by client", "not evaluated"],
      ["code", "not evaluated"],
      ["both", "not evaluated"],
      ["rate limit by machine", "not evaluated"],
    ])
    expect(await decisions("/")).toContainEqual(["code", "passed"])
    expect(counted).toEqual([])
  })

  it("takes a marker that throws, or gives anything but true, for no", async () => {
    let asked = 0
    const onRoute = () => void asked++
    const throwing: Policy = {
      name: "throwing",
      onRoute,
      explainable: () => {
        throw new Error("x")
      },
    }
    const odd: Policy = { name: "odd", onRoute, explainable: (() => "yes") as never }
    const steps = policySteps(await setup({ policies: [throwing, odd] }).router.explain(new Request(url)))
    expect(steps.map((step) => step.step === "policy" && step.decision)).toEqual(["not evaluated", "not evaluated"])
    expect(asked).toBe(0)
    expect(() => setup({ policies: [{ name: "x", onRoute, explainable: "yes" as never }] })).toThrow(
      "createRouter: policies[0].explainable must be true, false or a function, got a string",
    )
  })

  it("asks policies about a hostname only if that is wanted", async () => {
    const { router } = setup({ policies: [session, membersOnly] })
    const decisions = (explanation: Explanation) =>
      policySteps(explanation).map((step) => step.step === "policy" && step.decision)
    expect(decisions(await router.explain("misha.iterate.app"))).toEqual(["not evaluated", "not evaluated"])
    const headers = { cookie: "id=1" }
    expect(decisions(await router.explain("misha.iterate.app", { policies: true, headers }))).toEqual([
      "visitor",
      "passed",
    ])
    expect(decisions(await router.explain(new Request(url), { policies: false }))).toEqual([
      "not evaluated",
      "not evaluated",
    ])
  })

  it("closes a private port that no policy decides about, whoever is not evaluated", async () => {
    const store = memoryStore({ "p:misha": { machine: machine("mach_1"), visibility: "private" } })
    const look: Policy = { name: "look", onRoute: () => undefined }
    const { stop, trace } = await setup({ store, policies: [look] }).router.explain("misha.iterate.app")
    expect(stop).toMatchObject({ status: 403, code: "ACCESS_DENIED" })
    expect(trace[stop!.after - 1]).toEqual({ step: "closed", outcome: "visibility" })
    const decides: Policy = { ...look, enforces: ["visibility"] }
    expect((await setup({ store, policies: [decides] }).router.explain("misha.iterate.app")).stop).toBeUndefined()
  })

  it.each([
    [{ kind: "detached" }, { status: 503, code: "MACHINE_DETACHED" }],
    [{ kind: "removed" }, { status: 410, code: "ROUTE_REMOVED" }],
    [
      { kind: "redirect", to: { project: "new" }, status: 308 },
      { status: 308, location: "https://new.iterate.app/a?b=1" },
    ],
    [{ machine: { ...machine("mach_1"), type: "other" } }, { status: 500, code: "PROVIDER_NOT_CONFIGURED" }],
  ] as const)("says that %j ends with %j, as a request does", async (record, expected) => {
    const { router } = setup({ store: memoryStore({ "p:misha": record as never }) })
    const { stop } = await router.explain(new Request(url))
    expect(stop).toMatchObject(expected)
    const response = await router.fetch(new Request(url))
    expect([response?.status, response?.headers.get("x-iterate-proxy-error") ?? undefined]).toEqual([
      stop?.status,
      stop?.code,
    ])
    expect(response?.headers.get("location") ?? undefined).toBe(stop?.location)
  })

  it("ends a loop and a WebSocket that its host cannot pass as a request is ended", async () => {
    const { router } = setup()
    const via = Array.from({ length: 40 }, () => "1.1 ingress-router").join(", ")
    expect((await router.explain(new Request(url, { headers: { via } }))).stop).toMatchObject({ code: "LOOP_DETECTED" })
    const upgrade = new Request(url, { headers: { upgrade: "websocket" } })
    expect((await router.explain(upgrade)).stop).toMatchObject({ code: "UPGRADE_UNSUPPORTED" })
  })

  it("shows nothing of a policy's redirect but its status", async () => {
    const signIn: Policy = {
      name: "sign in",
      explainable: true,
      onRoute: () => ({ redirect: { status: 302, location: "https://id.example.com/?state=hunter2" } }),
    }
    const explanation = await setup({ policies: [signIn] }).router.explain(new Request(url))
    expect(explanation.stop).toEqual({ after: 6, status: 302 })
    expect(JSON.stringify(explanation)).not.toContain("hunter2")
  })
})

describe("explain, of a machine", () => {
  it("shows its endpoint from the cache, without what gives access, and calls nobody", async () => {
    let calls = 0
    const provider = fake({
      resolve: async () => {
        calls++
        return {
          origin: "http://10.0.0.5:8080",
          headers: { authorization: "hunter2" },
          epoch: "hunter2",
          ttlMs: 60_000,
        }
      },
      status: async () => ({ state: "running", detail: `call ${++calls}`, token: "hunter2" }) as never,
    })
    const { router } = setup({ providers: [provider] })
    expect((await router.explain("misha.iterate.app")).provider).not.toHaveProperty("endpoint")
    expect(calls).toBe(0)
    await router.fetch(new Request(url))
    const explanation = await router.explain("misha.iterate.app")
    expect(explanation.provider?.endpoint).toEqual({
      origin: "http://10.0.0.5:8080",
      machineProxy: true,
      isPinned: false,
      isStale: false,
    })
    expect(calls).toBe(1)
    const asked = await router.explain("misha.iterate.app", { status: true })
    expect(asked.provider?.status).toEqual({ state: "running", detail: "call 2", ageMs: expect.any(Number) })
    // It is known from then on.
    expect((await router.explain("misha.iterate.app")).provider?.status).toMatchObject({ detail: "call 2" })
    expect(calls).toBe(2)
    expect(JSON.stringify([explanation, asked])).not.toContain("hunter2")
  })

  it("shows its last failures, and what is left of its budgets", async () => {
    const provider = fake({
      resolve: async (machine) => {
        throw new MachineNotFound({ ...machineRef(machine), cause: new Error("hunter2") })
      },
    })
    const { router } = setup({ providers: [provider] })
    await router.fetch(new Request(url))
    const { provider: known } = await router.explain("misha.iterate.app")
    expect(known?.failures).toEqual([
      { operation: "resolve", error: "MachineNotFound", reason: "fake machine ext-mach_1 does not exist" },
    ])
    expect(known?.budgets?.vendorCalls).toBeLessThan(1500)
  })

  it("shows that it could not be started", async () => {
    const provider = fake({
      capabilities: { ...fake().capabilities, wake: "start" },
      resolve: async (machine) => {
        throw new MachineNotRunning({ ...machineRef(machine), state: "exited" })
      },
      start: async (machine) => {
        throw new MachineNotFound(machineRef(machine))
      },
    })
    const { router } = setup({ providers: [provider] })
    await router.fetch(new Request(url, { headers: { "sec-fetch-mode": "navigate" } }))
    expect((await router.explain("misha.iterate.app")).provider?.failures).toContainEqual(
      expect.objectContaining({ operation: "start", error: "MachineNotFound" }),
    )
  })

  it("shows the circuit of its vendor", async () => {
    const provider = fake({
      resolve: async (machine) => {
        throw new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: 60_000 })
      },
    })
    const names = ["a", "b", "c", "d"]
    const store = memoryStore(
      Object.fromEntries(names.map((name) => [`p:${name}`, { machine: machine(`mach_${name}`), owner: name }])),
    )
    const { router } = setup({ providers: [provider], store })
    for (const name of names.slice(0, 3)) await router.fetch(new Request(`https://${name}.iterate.app/`))
    const { provider: known } = await router.explain("d.iterate.app")
    expect(known?.circuit?.error).toBe("ProviderRateLimited")
    expect(known?.circuit?.retryAfterMs).toBeGreaterThan(30_000)
  })

  it("shows the settings of the port arrived at, without what guards it", async () => {
    const store = memoryStore({
      "p:misha": {
        machine: machine("mach_1"),
        visibility: "public",
        metadata: { note: "hunter2" },
        ports: { 3000: { healthCheck: { path: "/up?token=hunter2" }, wake: "never" }, 4096: { minBodyRate: 7 } },
      },
    })
    const explanation = await setup({ store }).router.explain("misha.iterate.app")
    expect(explanation.settings).toEqual({ visibility: "public", wake: "never", healthCheck: { path: "/up?…" } })
    expect(JSON.stringify(explanation)).not.toContain("hunter2")
    const guarded = { requireHeader: { name: "x-key", sha256: "a".repeat(64) }, later: "hunter2" }
    expect(explainedSettings(guarded)).toEqual({ requireHeader: { name: "x-key" } })
  })
})

describe("the event of a request", () => {
  it.each([
    ["PORT_CLOSED", "PORT_CLOSED"],
    ["x".repeat(65), undefined],
    ["<b>hunter2</b>", undefined],
  ])("has the code of a response that a machine's proxy generated, if it is one: %s", async (sent, code) => {
    const events: RouterEvent[] = []
    const answer = () => stamped("{}", { status: 502, headers: { "x-iterate-proxy-error": sent } })
    const { router } = setup({ answer, onEvent: (event) => events.push(event) })
    await router.fetch(new Request(url))
    expect(events).toMatchObject([{ type: "request", status: 502 }])
    expect((events[0] as { readonly code?: string }).code).toBe(code)
  })
})
