/** Attacks with access tokens: forged ones, those of others, several at once, and in places where no token belongs. */
import { generateTicketKeys } from "@project-ingress/forward"
import { SignJWT } from "jose"
import { afterEach, describe, expect, it, vi } from "vitest"
import { createToken, defineAccess } from "../../src/access.ts"
import { hideForbidden } from "../../src/policies.ts"
import { access, banana, day, grantOf, link, project, token, world } from "../access/world.ts"

const bearer = (value: string) => ({ authorization: `Bearer ${value}` })
const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
const codeOf = (response: Response) => [response.status, response.headers.get("x-iterate-proxy-error")]

afterEach(() => void vi.useRealTimers())

describe.each(["private", "public"] as const)("on a %s port", (visibility) => {
  const refused = async (value: string) => {
    const { ask, sent, seen } = world({ settings: { visibility } })
    const responses = [await ask("/", bearer(value)), await ask("/", { "x-ingress-token": value })]
    expect([sent, seen]).toEqual([[], []])
    expect(codeOf(responses[0]!)).toEqual(codeOf(responses[1]!))
    return codeOf(responses[0]!)
  }

  it("a token of another project, port or generation is 403", async () => {
    for (const made of [
      await token({ project: banana }),
      await token({ port: 8001 }),
      await token({ port: [800, 80, 80_00 + 1] }),
      await token({ project: { ...project, generation: 2 } }),
      await token({ project: { ...project, owner: "org_2" } }),
      await token({ project: { key: "p:misha", owner: "org_1", generation: 3 } }),
      // An id that looks like a key, and a key that looks like an id.
      await token({ project: { key: "p:banana", owner: "org_1", externalId: "p:misha", generation: 3 } }),
      await token({ project: { key: "p:prj_misha", owner: "org_1", generation: 3 } }),
    ]) {
      expect(await refused(made.token)).toEqual([403, "TOKEN_SCOPE"])
    }
  })

  it("a token that has ended is 401, also where it was seen before", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 })
    const { token: value } = await token({ expiresInMs: 60_000 })
    const { ask } = world({ settings: { visibility } })
    expect((await ask("/", bearer(value))).status).toBe(200)
    vi.setSystemTime(1_800_000_000_000 + 66_000)
    expect(codeOf(await ask("/", bearer(value)))).toEqual([401, "TOKEN_INVALID"])
    expect(await refused(value)).toEqual([401, "TOKEN_INVALID"])
  })

  it("a forged token is 401", async () => {
    const { token: value } = await token()
    const [head, body, signature] = value.slice("ingress_".length).split(".") as [string, string, string]
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object
    const other = (await generateTicketKeys("test")).signing
    const elsewhere = await createToken(defineAccess({ keys: [other] }), { subject: "ci", project, expiresInMs: day })
    const { kid } = JSON.parse(Buffer.from(head, "base64url").toString()) as { kid: string }
    const byPlainSecret = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "HS256", kid, typ: "ingress-token+jwt" })
      .sign(new TextEncoder().encode("project-ingress/access/token/1-and-some-more"))
    for (const forged of [
      `ingress_${encoded({ alg: "none", kid, typ: "ingress-token+jwt" })}.${body}.`,
      `ingress_${encoded({ alg: "none", kid, typ: "ingress-token+jwt" })}.${body}.${signature}`,
      `ingress_${head}.${encoded({ ...claims, ports: "8000 8001" })}.${signature}`,
      `ingress_${head}.${body}.${signature.slice(1)}`,
      `ingress_${head}.${body}.`,
      `ingress_${head}.${body}`,
      `ingress_${byPlainSecret}`,
      elsewhere.token,
      "ingress_",
      "ingress_x",
      `ingress_${"a".repeat(10_000)}`,
    ]) {
      expect(await refused(forged)).toEqual([401, "TOKEN_INVALID"])
    }
  })

  it("a value of another purpose is none", async () => {
    const claims = { sub: "ci", jti: "x", prj: "y", gen: 3 }
    for (const purpose of ["state", "code", "session", "link", "link-session"] as const) {
      expect(await refused(`ingress_${await access.signed(purpose).sign(claims, day)}`)).toEqual([401, "TOKEN_INVALID"])
    }
    expect(await refused(`ingress_${grantOf(await link())}`)).toEqual([401, "TOKEN_INVALID"])
  })
})

describe("two tokens", () => {
  it("are refused, whichever is the right one", async () => {
    const { ask, sent } = world()
    const { token: good } = await token()
    const { token: other } = await token({ port: 9 })
    const lines = (...values: string[]) => new Headers(values.map((value) => ["authorization", value]))
    for (const headers of [
      { ...bearer(good), "x-ingress-token": good },
      { ...bearer(good), "x-ingress-token": other },
      { ...bearer(other), "x-ingress-token": good },
      { ...bearer(good), "x-ingress-token": "" },
      { "x-ingress-token": `${good}, ${good}` },
      { authorization: `Bearer ${good}, Bearer ${good}` },
      { authorization: `Bearer ${good} ${good}` },
      lines(`Bearer ${good}`, "Basic dXNlcjpw"),
      lines("Basic dXNlcjpw", `Bearer ${good}`),
      lines(`Bearer ${good}`, `Bearer ${good}`),
      // Written as no token is: refused rather than passed on to the app.
      { authorization: good },
      { authorization: `Basic ${good}` },
      { authorization: `Bearer "${good}"` },
      { authorization: `Token token=${good}` },
    ]) {
      expect(codeOf(await ask("/", headers))).toEqual([401, "TOKEN_INVALID"])
    }
    expect(sent).toEqual([])
  })
})

describe("a token elsewhere", () => {
  it("opens nothing: in a URL, a cookie, a body or another field", async () => {
    const { ask, sent } = world()
    const { token: value } = await token()
    for (const url of [
      `/?access_token=${value}`,
      `/?x-ingress-token=${value}`,
      `/${value}`,
      `/_/${value}`,
      `/#${value}`,
    ]) {
      expect((await ask(url)).status).toBe(401)
    }
    for (const headers of [
      { cookie: `ingress_token=${value}; x-ingress-token=${value}; __Host-ingress-link=${value.slice(8)}` },
      { "x-access-token": value },
      { "proxy-authorization": `Bearer ${value}` },
      { x_ingress_token: value },
    ]) {
      expect(codeOf(await ask("/", headers))).toEqual([401, "LOGIN_REQUIRED"])
    }
    expect((await ask("/", {}, { method: "POST", body: `access_token=${value}` })).status).toBe(401)
    expect(sent).toEqual([])
  })
})

describe("what a refusal tells", () => {
  it("is the same for a hostname that does not exist", async () => {
    const { ask } = world()
    const strip = async (response: Response) => {
      const { requestId, ...body } = (await response.json()) as Record<string, unknown>
      expect(requestId).toEqual(expect.any(String))
      return [response.status, response.headers.get("www-authenticate"), body]
    }
    const headers = { ...bearer("ingress_x.y.z"), accept: "application/json" }
    const known = await strip(await ask("/", headers))
    expect(await strip(await ask("https://8000__nobody.iterate.app/", headers))).toEqual(known)
  })

  it("is nothing to who holds a token for something else, where denials are hidden", async () => {
    const { ask, sent } = world({ all: hideForbidden })
    const { token: other } = await token({ project: banana })
    for (const value of [other, "ingress_x.y.z"]) {
      const responses = await Promise.all(
        ["misha", "nobody"].map((name) => ask(`https://8000__${name}.iterate.app/`, bearer(value))),
      )
      expect(responses.map(codeOf)).toEqual([
        [404, "ROUTE_NOT_FOUND"],
        [404, "ROUTE_NOT_FOUND"],
      ])
      expect(responses.map(({ headers }) => headers.has("www-authenticate"))).toEqual([false, false])
    }
    expect((await ask("/", bearer((await token()).token))).status).toBe(200)
    expect(JSON.stringify(sent)).not.toContain("ingress_")
  })

  it("has no token in it, and neither have events", async () => {
    const { ask, events } = world()
    const made = [await token(), await token({ port: 1 }), await token({ project: banana })]
    for (const { token: value } of made) {
      for (const accept of ["text/html", "application/json", "*/*"]) {
        const response = await ask("/", { ...bearer(value), accept })
        const told = JSON.stringify([...response.headers]) + (await response.text())
        expect(told).not.toContain("ingress_")
        expect(told).not.toContain("org_1")
      }
    }
    const said = JSON.stringify(events)
    expect(events).toHaveLength(9)
    expect(said).not.toContain("ingress_")
    for (const { token: value } of made) expect(said).not.toContain(value.split(".")[2])
    // Who holds a token reads whom it is for, and neither the owner nor the project.
    const claims = Buffer.from(made[0]!.token.split(".")[1]!, "base64url").toString()
    expect(claims).toContain("ci")
    expect(claims).not.toMatch(/org_1|misha/)
  })
})

it("a project that is transferred, or whose grants are withdrawn, ends its tokens", async () => {
  const { ask, store } = world()
  const { token: value } = await token()
  expect((await ask("/", bearer(value))).status).toBe(200)
  const found = store.get("p:misha")
  if (found.status !== "hit" || found.record.kind !== "machine") throw new Error("no record")
  const { machine } = found.record
  const { externalId } = project
  store.attach("p:misha", { machine, externalId, owner: "org_2", generation: 3 })
  expect((await ask("/", bearer(value))).status).toBe(403)
  store.attach("p:misha", { machine, externalId, owner: "org_1", generation: 4 })
  expect((await ask("/", bearer(value))).status).toBe(403)
  // The name passes to another project.
  store.attach("p:misha", { machine, externalId: "prj_new", owner: "org_1", generation: 3 })
  expect((await ask("/", bearer(value))).status).toBe(403)
  store.attach("p:misha", { machine, externalId, owner: "org_1", generation: 3 })
  expect((await ask("/", bearer(value))).status).toBe(200)
  // A project whose id is the key of this one, which has no id.
  const { token: alike } = await token({ project: { ...project, key: "p:banana", externalId: "p:misha" } })
  store.attach("p:misha", { machine, owner: "org_1", generation: 3 })
  expect((await ask("/", bearer(alike))).status).toBe(403)
})
