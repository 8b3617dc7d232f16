/** Access tokens for programs: where they are read, what they open, and that no app sees one. */
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { createToken } from "../../src/access.ts"
import { accessTokens } from "../../src/access.ts"
import { names, values } from "../fakes.ts"
import { access, day, project, token, world } from "./world.ts"

const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

describe("a token", () => {
  it.each(["authorization", "x-ingress-token"])("in %s opens a private port, and gets to no app", async (field) => {
    const { ask, sent, seen } = world()
    expect((await ask("/")).status).toBe(401)
    const { token: value, id, expiresAt } = await token()
    const headers = field === "authorization" ? bearer(value) : { [field]: value }
    expect((await ask("/", { ...headers, "x-app": "1" })).status).toBe(200)
    const visitor = { subject: "ci", by: "token", id, granted: true, ambient: false }
    expect(seen.at(-1)).toMatchObject(visitor)
    expect(Math.abs(seen.at(-1)!.expiresAt! - expiresAt)).toBeLessThan(1_000)
    expect(sent).toHaveLength(1)
    expect(names(sent[0]!.headers)).not.toContain(field)
    expect(JSON.stringify(sent[0]!.headers)).not.toContain("ingress_")
    expect(values(sent[0]!.headers, "x-app")).toEqual(["1"])
  })

  it("in its own field leaves the app's Authorization as it is", async () => {
    const { ask, sent } = world()
    const { token: value } = await token()
    const own = 'Basic  dXNlcjpw, realm="x"'
    await ask("/", { "x-ingress-token": value, authorization: own })
    expect(values(sent[0]!.headers, "authorization")).toEqual([own])
  })

  it.each(["Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic aW5ncmVzc186eA==", "Token my-ingress_x", "Bearer"])(
    "is not what an app's own Authorization is: %s",
    async (authorization) => {
      const { ask, sent, seen } = world({ settings: { visibility: "public" } })
      expect((await ask("/", { authorization })).status).toBe(200)
      expect(values(sent[0]!.headers, "authorization")).toEqual([authorization])
      expect(seen).toEqual([undefined])
    },
  )

  it("is read in the field that the platform names", async () => {
    const { token: value } = await token()
    const named = world({ tokens: { field: "X-Platform-Key" } })
    expect((await named.ask("/", { "x-platform-key": value })).status).toBe(200)
    expect((await named.ask("/", { "x-ingress-token": value })).status).toBe(401)
    const alone = world({ tokens: { field: "authorization" } })
    expect((await alone.ask("/", { "x-ingress-token": value })).status).toBe(401)
    expect((await alone.ask("/", bearer(value))).status).toBe(200)
  })

  it("opens the project under each of its hostnames, and its ports alone", async () => {
    const { ask } = world()
    const headers = bearer((await token()).token)
    const statuses = async (...urls: string[]) => Promise.all(urls.map(async (url) => (await ask(url, headers)).status))
    const same = [
      "https://8000--misha.iterate.app/",
      "https://8000__mach_1.machines.iterate.app/",
      "https://www.example.com/",
    ]
    expect(await statuses(...same)).toEqual([200, 200, 200])
    expect(await statuses("https://8001__misha.iterate.app/", "https://8001__mach_1.machines.iterate.app/")).toEqual([
      403, 403,
    ])
  })

  it("without a port opens all of them, and with several those", async () => {
    const { ask } = world()
    const asks = async (value: string) =>
      Promise.all(
        [1, 8000, 9000].map(async (port) => (await ask(`https://${port}__misha.iterate.app/`, bearer(value))).status),
      )
    const { token: all } = await createToken(access, { subject: "ci", project, expiresInMs: day })
    expect(await asks(all)).toEqual([200, 200, 200])
    expect(await asks((await token({ port: [1, 9000] })).token)).toEqual([200, 403, 200])
  })

  it("of a project without an id of its own opens its key alone", async () => {
    const { ask, store } = world()
    const { owner, generation } = project
    for (const key of ["p:misha", "d:www.example.com"] as const) {
      const found = store.get(key)
      if (found.status !== "hit" || found.record.kind !== "machine") throw new Error("no record")
      store.attach(key, { machine: found.record.machine, owner, generation, visibility: "private", port: 8000 })
    }
    const { token: value } = await token({ project: { key: "p:misha", owner, generation } })
    expect((await ask("/", bearer(value))).status).toBe(200)
    expect((await ask("https://www.example.com/", bearer(value))).status).toBe(403)
  })

  it("is withdrawn by its id", async () => {
    const { token: value, id } = await token()
    for (const isRevoked of [(each: string) => each === id, async (each: string) => each === id]) {
      const { ask } = world({ tokens: { isRevoked } })
      expect((await ask("/", bearer(value))).status).toBe(401)
      expect((await ask("/", bearer((await token()).token))).status).toBe(200)
    }
    const failing = world({ tokens: { isRevoked: () => Promise.reject(new Error("no database")) } })
    expect((await failing.ask("/", bearer(value))).status).toBe(500)
    const silent = world({ tokens: { isRevoked: (() => undefined) as never } })
    expect((await silent.ask("/", bearer(value))).status).toBe(401)
  })

  it("does not wait for a hook that hangs", async () => {
    const { token: value } = await token()
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
    onTestFinished(() => void vi.useRealTimers())
    const called = Promise.withResolvers<void>()
    const isRevoked = () => (called.resolve(), new Promise<boolean>(() => {}))
    const { ask } = world({ tokens: { isRevoked } })
    const asked = ask("/", bearer(value))
    await called.promise
    await vi.advanceTimersByTimeAsync(5_001)
    expect((await asked).status).toBe(500)
  })

  it("says what a program can do when it is refused, and no browser asks for a password", async () => {
    const { ask } = world()
    const forged = await ask("/", bearer("ingress_x"))
    expect(forged.headers.get("www-authenticate")).toBe('Bearer error="invalid_token"')
    expect([forged.status, forged.headers.get("x-iterate-proxy-error")]).toEqual([401, "TOKEN_INVALID"])
    const other = await ask("https://8001__misha.iterate.app/", bearer((await token()).token))
    expect(other.headers.get("www-authenticate")).toBe('Bearer error="insufficient_scope"')
    expect([other.status, other.headers.get("x-iterate-proxy-error")]).toEqual([403, "TOKEN_SCOPE"])
  })
})

describe("options", () => {
  const good = { subject: "ci", project, expiresInMs: day }
  it.each([
    [{ ...good, subject: "" }, "createToken: subject must be 1 to 256 characters"],
    [{ ...good, port: 0 }, "createToken: port must be a port from 1 to 65535"],
    [{ ...good, port: [] }, "createToken: port must be a port"],
    [{ ...good, expiresInMs: 999 }, "createToken: expiresInMs must be a number from 1000"],
    [{ ...good, expiresIn: day }, "createToken: expiresIn is not an option (did you mean expiresInMs?)"],
    [{ ...good, project: { ...project, key: "misha" } }, "createToken: project.key must be a route's key"],
    [{ ...good, project: { ...project, generation: -1 } }, "createToken: project.generation must be an integer"],
    [{ ...good, project: undefined }, "createToken: project must be an object"],
  ])("of createToken are checked: %#", async (options, message) => {
    await expect(createToken(access, options as never)).rejects.toThrow(message)
  })

  it("take what a registry returns", async () => {
    const registered = { ...project, id: "prj_1", name: "misha", version: 4, epoch: 1, domains: [] }
    expect((await createToken(access, { ...good, project: registered })).token).toMatch(/^ingress_/)
  })

  it.each([
    { field: "cookie" },
    { field: "x-forwarded-for" },
    { field: "X-Iterate-Proxy-Ticket" },
    { field: "x-a b" },
    { isRevoked: true },
    { fields: "x-a" },
  ])("of accessTokens are checked: %j", (options) => {
    expect(() => accessTokens(access, options as never)).toThrow(TypeError)
  })
})
