/** `hideForbidden`: who may not see a project cannot tell that there is one. */
import { describe, expect, it } from "vitest"
import { allowCidrs, authorize, hideForbidden, requireHeader, visibility } from "../../src/policies.ts"
import { AccessDenied, PolicyError } from "../../src/router.ts"
import type { Policy, PolicyInput } from "../../src/router.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { hostnames as grammar, values } from "../fakes.ts"
import { named, toMachine, visits } from "./visit.ts"

const signIn = { location: () => "https://app.example/sign-in" }
const routes: Record<string, RouteInput> = {
  "p:misha": toMachine(),
  "p:near": toMachine({ visibility: "public", allowCidrs: ["10.0.0.0/8"] }),
  "p:keyed": toMachine({ visibility: "public", requireHeader: { name: "x-key", sha256: "0".repeat(64) } }),
  "p:old": { kind: "redirect", to: { project: "misha" }, status: 308 },
  "p:gone": { kind: "removed" },
  "p:asleep": { kind: "detached" },
}
const policies = (showLogin = false): readonly PolicyInput[] => [
  named(),
  ...hideForbidden(
    [allowCidrs(), requireHeader(), visibility({ grammar, signIn }), authorize(({ subject }) => subject === "anna")],
    { showLogin },
  ),
]

const ways: readonly [string, RequestInit][] = [
  ["a stranger's navigation", { headers: { "sec-fetch-mode": "navigate", accept: "text/html" } }],
  ["a stranger's script", { headers: { "sec-fetch-mode": "cors" } }],
  ["a stranger's post", { method: "POST" }],
  ["a stranger's HEAD", { method: "HEAD" }],
  ["curl", {}],
  ["a member of another project", { headers: { "x-visitor": "eve" } }],
  [
    "a page of another tenant, by a member's browser",
    { method: "POST", headers: { "x-visitor": "anna", origin: "https://evil.example" } },
  ],
  [
    "a preflight of another origin",
    { method: "OPTIONS", headers: { origin: "https://evil.example", "access-control-request-method": "PUT" } },
  ],
]

/** All that tells one response from another. The hostname, which the visitor knows, is in both. */
const shown = async (made: ReturnType<typeof visits>, name: string, init: RequestInit) => {
  const { status, response, text } = await made.visit(`https://${name}.iterate.app/x`, init)
  const id = response.headers.get("x-iterate-proxy-request-id")!
  const fields = [...response.headers].filter(([field]) => field !== "x-iterate-proxy-request-id")
  return JSON.stringify([status, fields, text]).replaceAll(id, "<id>").replaceAll(name, "<name>")
}

describe("a project that one may not see", () => {
  it.each(ways)("is the response of a missing one, to %s", async (_, init) => {
    const made = visits(policies(), routes)
    const missing = await shown(made, "nobody", init)
    expect(missing).toMatch(/^\[404,/)
    for (const name of ["misha", "4096__misha", "nosuch--misha", "old", "gone", "asleep"]) {
      // A page names the project as well as the hostname.
      const absent = name.includes("misha") ? await shown(made, name.replace("misha", "nobody"), init) : missing
      expect((await shown(made, name, init)).replaceAll("misha", "nobody")).toBe(absent)
    }
    expect([made.resolved(), made.sent.length]).toEqual([0, 0])
  })

  it.each(["near", "keyed"])(
    "is the response of a missing one, behind allowCidrs or requireHeader: %s",
    async (name) => {
      const made = visits(policies(), routes)
      expect(await shown(made, name, {})).toBe(await shown(made, "nobody", {}))
    },
  )

  it("is there for who may", async () => {
    const { visit } = visits(policies(), routes)
    expect((await visit("https://misha.iterate.app/", { headers: { "x-visitor": "anna" } })).status).toBe(200)
    expect((await visit("https://old.iterate.app/", { headers: { "x-visitor": "anna" } })).status).toBe(308)
  })

  it("with showLogin sends navigations to the login, and nothing else", async () => {
    const { visit } = visits(policies(true), routes)
    const url = "https://misha.iterate.app/"
    const page = await visit(url, { headers: { "sec-fetch-mode": "navigate" } })
    expect([page.status, page.location]).toEqual([302, "https://app.example/sign-in"])
    const script = await visit(url, { headers: { "sec-fetch-mode": "cors" } })
    expect([script.status, script.code, script.location]).toEqual([404, "ROUTE_NOT_FOUND", null])
    expect((await visit(url, { headers: { "x-visitor": "eve", "sec-fetch-mode": "navigate" } })).status).toBe(404)
  })

  it("is named in events, with the policy that refused", async () => {
    const events: unknown[] = []
    const { visit } = visits(policies(), routes, { onEvent: (event) => events.push(event) })
    await visit("https://misha.iterate.app/", { headers: { "x-visitor": "eve" } })
    expect(events).toMatchObject([{ status: 404, error: "AccessDenied", reason: "the visitor may not open the route" }])
  })
})

describe("what is hidden", () => {
  it("is 401 and 403 alone", async () => {
    const row = (status: number) => ({ status, code: "X", error: "http_request_denied", title: "X." })
    for (const [status, expected] of [
      [401, 404],
      [403, 404],
      [402, 402],
      [429, 429],
      [502, 502],
      [410, 410],
    ] as const) {
      const deny = new PolicyError({ tag: "X", row: row(status), reason: "x" })
      for (const policy of [() => ({ deny }), async () => ({ deny })]) {
        const { visit } = visits([...hideForbidden([policy])], { "p:misha": toMachine({ visibility: "public" }) })
        expect((await visit("https://misha.iterate.app/")).status).toBe(expected)
      }
    }
  })

  it("leaves a policy its other phases, its name, what it enforces and its cookies", async () => {
    const ran: string[] = []
    const policy: Policy = {
      name: "all",
      enforces: ["visibility"],
      reservedCookies: ["mine"],
      onRequest: () => void ran.push("request"),
      onRoute: () => void ran.push("route"),
      onForward: (edit) => edit.set("x-user", "anna"),
      onResponse: (_, edit) => edit.set("x-seen", "1"),
    }
    const [hidden] = hideForbidden([policy])
    expect(hidden).toMatchObject({ name: "all", enforces: ["visibility"], reservedCookies: ["mine"] })
    const { visit, sent } = visits([hidden!], { "p:misha": toMachine({ visibility: "private" }) })
    const { response } = await visit("https://misha.iterate.app/", { headers: { cookie: "mine=1; a=2" } })
    expect([ran, response.headers.get("x-seen")]).toEqual([["request", "route"], "1"])
    expect(values(sent[0]!.headers, "x-user")).toEqual(["anna"])
    expect(values(sent[0]!.headers, "cookie")).toEqual(["a=2"])
  })

  it("fails closed as before: what throws and what is no outcome is 500", async () => {
    const wrong = [
      () => false,
      () => {
        throw new Error("no")
      },
      async () => ({ deny: "yes" }),
    ] as unknown as PolicyInput[]
    for (const policy of wrong) {
      const { visit } = visits([...hideForbidden([policy])])
      expect((await visit("https://misha.iterate.app/")).status).toBe(500)
    }
  })

  it("may be a denial before the look-up as well", async () => {
    const [limit] = hideForbidden([{ name: "limit", onRequest: () => ({ deny: new AccessDenied() }) }])
    expect((await visits([limit!]).visit("https://misha.iterate.app/")).code).toBe("ROUTE_NOT_FOUND")
  })

  it("checks what it is given", () => {
    // @ts-expect-error one policy, and no array
    expect(() => hideForbidden(visibility())).toThrow("hideForbidden: policies must be an array")
    // @ts-expect-error no policy
    expect(() => hideForbidden([undefined])).toThrow(
      "hideForbidden: policies must be an array in which every element is a policy",
    )
    // @ts-expect-error no such option
    expect(() => hideForbidden([], { login: true })).toThrow("hideForbidden: login is not an option")
  })
})
