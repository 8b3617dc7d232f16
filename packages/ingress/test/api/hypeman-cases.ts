import { describe, expect, it } from "vitest"
import { FrontRefused, PortInUse } from "../../src/ingress.ts"
import type { IngressesFactory } from "./real-ingresses.ts"
import { documented, ingress, rule, testApi, testFront } from "./test-api.ts"

/** The black-box table of hypeman, by case id, for any implementation of `Ingresses`. */
export const hypemanCases = (name: string, factory: IngressesFactory): void => {
  const setup = (...rest: Parameters<typeof testApi> extends [unknown, ...infer Rest] ? Rest : never) =>
    testApi(factory, ...rest)
  const compatible = (platform = {}) => setup(platform, { mode: "hypeman" })

  describe(`${name}: hypeman's table`, () => {
    it("4-01: an ingress is created with an id and a time, at the place that Location says", async () => {
      const { ask } = await compatible()
      const before = Date.now()
      const { status, body, headers } = await ask("POST", "/ingresses", { body: documented() })
      expect(status).toBe(201)
      expect(body).toEqual({
        id: expect.stringMatching(/^[a-z\d]+$/),
        name: "my-api-ingress",
        rules: [
          {
            match: { hostname: "api.example.com", port: 80 },
            target: { instance: "my-api", port: 8080 },
            tls: false,
            redirect_http: false,
          },
        ],
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      })
      expect(Date.parse(body.created_at)).toBeGreaterThanOrEqual(before - 1)
      expect(headers.get("location")).toBe(`/ingresses/${body.id}`)
      expect((await ask("GET", headers.get("location")!)).body).toEqual(body)
      expect((await ask("GET", "/ingresses")).body).toEqual([body])
    })

    it.each([
      [undefined, false, 80],
      [0, false, 80],
      [undefined, true, 443],
      [8080, false, 8080],
    ])("4-02: match.port %s, with tls: %s, is %s", async (port, tls, shown) => {
      const { ask } = await compatible()
      const body = documented()
      const sent = { ...body, rules: [{ ...body.rules[0], tls, match: { hostname: "api.example.com", port } }] }
      expect((await ask("POST", "/ingresses", { body: sent })).body.rules[0].match.port).toBe(shown)
    })

    it("4-03: names are lower-case letters, digits and inner hyphens", async () => {
      const { ask } = await compatible()
      const wrong = ["Invalid_Name", "-a", "a-", "has spaces", "UPPER", "", "has.period", "a".repeat(64)]
      for (const name of wrong) {
        const { status, body } = await ask("POST", "/ingresses", { body: documented("x.example.com", name) })
        expect([name, status, body.code, body.field]).toEqual([name, 400, "bad_request", "name"])
      }
      for (const name of ["a", "ab", "my-ingress", "a1b2c3"]) {
        expect((await ask("POST", "/ingresses", { body: documented(`${name}.example.com`, name) })).status).toBe(201)
      }
    })

    it.each<readonly [string, object, string]>([
      ["no rules", { rules: [] }, "at least one rule is required"],
      ["an empty hostname", { match: { hostname: "" } }, "hostname is required in rule 0"],
      ["an empty instance", { target: { instance: "" } }, "instance is required in rule 0"],
      ["target.port 0", { target: { port: 0 } }, "target.port must be between 1 and 65535 in rule 0"],
      ["target.port -1", { target: { port: -1 } }, "target.port must be between 1 and 65535 in rule 0"],
      ["target.port 70000", { target: { port: 70_000 } }, "target.port must be between 1 and 65535 in rule 0"],
      ["no target.port", { target: { port: undefined } }, "target.port must be between 1 and 65535 in rule 0"],
      ["match.port -1", { match: { port: -1 } }, "match.port must be between 1 and 65535 in rule 0"],
      ["match.port 70000", { match: { port: 70_000 } }, "match.port must be between 1 and 65535 in rule 0"],
    ])("4-04: %s is refused in its words", async (_what, wrong, message) => {
      const { ask } = await compatible()
      const { rules, match = {}, target = {} } = wrong as { rules?: []; match?: object; target?: object }
      const one = documented().rules[0]!
      const body = {
        name: "x",
        rules: rules ?? [{ match: { ...one.match, ...match }, target: { ...one.target, ...target } }],
      }
      expect((await ask("POST", "/ingresses", { body })).body).toMatchObject({ code: "bad_request", message })
      // The same is refused in our own words, which name the field.
      const ours = await setup()
      const said = await ours.ask("POST", "/ingresses", { body })
      expect([said.status, said.body.code]).toEqual([400, "bad_request"])
      expect(said.body.message).toMatch(/^rules.* must be /)
    })

    it("4-05: a wildcard is refused in the mode alone: there {name} says it", async () => {
      const { ask } = await compatible()
      const { body, status } = await ask("POST", "/ingresses", { body: documented("*.example.com") })
      expect([status, body.code]).toEqual([400, "bad_request"])
      expect(body.message).toMatch(/^wildcard hostnames are not supported/)
      const ours = await setup()
      expect((await ours.ask("POST", "/ingresses", { body: documented("*.example.com") })).status).toBe(201)
    })

    it("4-06: redirect_http wants tls", async () => {
      const { ask } = await compatible()
      const body = documented()
      const redirecting = { ...body, rules: [{ ...body.rules[0], redirect_http: true }] }
      const said = await ask("POST", "/ingresses", { body: redirecting })
      expect(said.body).toMatchObject({ code: "bad_request", field: "rules.0.redirect_http" })
      const ours = await setup()
      expect((await ours.ask("POST", "/ingresses", { body: redirecting })).status).toBe(400)
      const secure = { ...body, rules: [{ ...body.rules[0], tls: true, redirect_http: true }] }
      expect((await ask("POST", "/ingresses", { body: secure })).body.rules[0]).toMatchObject({
        tls: true,
        redirect_http: true,
      })
    })

    it("4-07: an unknown instance is 400 instance_not_found", async () => {
      const { ask } = await compatible()
      const body = { name: "x", rules: [rule({}, {}, { machine: "nobody" })] }
      const said = await ask("POST", "/ingresses", { body })
      expect([said.status, said.body.code]).toEqual([400, "instance_not_found"])
    })

    it("4-08: a name and a hostname with its port are there once, also within a document", async () => {
      const { ask } = await compatible()
      await ask("POST", "/ingresses", { body: documented() })
      const name = await ask("POST", "/ingresses", { body: documented("other.example.com") })
      expect([name.status, name.body.code]).toEqual([409, "already_exists"])
      const hostname = await ask("POST", "/ingresses", { body: documented("API.example.com", "other") })
      expect([hostname.status, hostname.body.code]).toEqual([409, "hostname_in_use"])
      const twice = await ask("POST", "/ingresses", {
        body: ingress(rule({}, { hostname: "x.example.com" }), rule({}, { hostname: "x.example.com" })),
      })
      expect([twice.status, twice.body.code]).toEqual([409, "hostname_in_use"])
      expect((await ask("POST", "/ingresses", { body: ingress(rule({}, { port: 8080 })) })).status).toBe(201)
    })

    it("4-09: a name of the platform's own is refused before machines are looked up", async () => {
      const { ask } = await compatible()
      const body = ingress(rule({}, { hostname: "api.platform.example" }, { machine: "nobody" }))
      const said = await ask("POST", "/ingresses", { body })
      expect([said.status, said.body.code]).toEqual([400, "domain_not_allowed"])
    })

    it("4-10: what a front says it lacks is in the message", async () => {
      const refuse = () => {
        throw new FrontRefused({ front: "caddy", field: "rules.0.tls", reason: "ACME is not configured" })
      }
      const { ask } = await compatible({ fronts: [testFront({ validate: refuse })] })
      const said = await ask("POST", "/ingresses", { body: ingress(rule({ tls: true })) })
      expect([said.status, said.body.code, said.body.field]).toEqual([400, "config_validation_failed", "rules.0.tls"])
      expect(said.body.message).toContain("ACME is not configured")
    })

    it("4-11: what is not there is 404 in its words", async () => {
      const { ask } = await compatible()
      for (const [method, path] of [
        ["GET", "/ingresses/nothing"],
        ["DELETE", "/ingresses/nothing"],
        ["GET", "/nothing"],
        ["GET", "/ingresses/a/b"],
      ] as const) {
        const { status, body } = await ask(method, path)
        expect([status, body]).toEqual([404, { code: "not_found", message: "resource not found" }])
      }
    })

    it("4-12: it is deleted by name and by the beginning of its id, unless several begin like that", async () => {
      const { ask } = await compatible()
      const ids: string[] = []
      // More than there are first characters, so that two begin alike.
      for (let at = 0; at < 37; at++) {
        const { body } = await ask("POST", "/ingresses", { body: documented(`n${at}.example.com`, `name-${at}`) })
        ids.push(body.id)
      }
      expect((await ask("DELETE", "/ingresses/name-0")).status).toBe(204)
      const begin = ids.slice(1).find((id, at, rest) => rest.some((other, to) => to !== at && other[0] === id[0]))![0]
      const ambiguous = await ask("DELETE", `/ingresses/${begin}`)
      expect([ambiguous.status, ambiguous.body]).toEqual([
        409,
        { code: "ambiguous", message: "multiple resources match, use full ID" },
      ])
      const [, first = ""] = ids
      const unique = Array.from(first, (_, length) => first.slice(0, length + 1)).find(
        (prefix) => ids.slice(1).filter((id) => id.startsWith(prefix)).length === 1,
      )
      expect((await ask("DELETE", `/ingresses/${unique}`)).status).toBe(204)
      expect((await ask("GET", "/ingresses")).body).toHaveLength(35)
      expect((await ask("GET", `/ingresses/${first}`)).status).toBe(404)
    })

    it("4-13: {instance} of a pattern is shown as it was sent", async () => {
      const { ask } = await compatible()
      const sent = { match: { hostname: "{instance}.example.com" }, target: { instance: "{instance}", port: 8080 } }
      const { body, status } = await ask("POST", "/ingresses", { body: { name: "x", rules: [sent] } })
      expect(status).toBe(201)
      expect(body.rules[0]).toMatchObject(sent)
      expect((await ask("PUT", "/ingresses/x", { body })).body).toEqual(body)
    })

    it("4-23: a port that something else listens on is 409 port_in_use, by its number", async () => {
      const refuse = () => {
        throw new PortInUse({ front: "caddy", port: 8080 })
      }
      const { ask } = await compatible({ fronts: [testFront({ validate: refuse })] })
      const said = await ask("POST", "/ingresses", { body: documented() })
      expect([said.status, said.body.code]).toEqual([409, "port_in_use"])
      expect(said.body.message).toContain("8080")
    })

    it("4-24: what a front refuses, or fails at, is stored nowhere, and the front goes on as before", async () => {
      let failure: Error | undefined
      const front = testFront({
        apply: () => {
          if (failure !== undefined) throw failure
        },
      })
      const errors: unknown[] = []
      const { ask } = await setup({ fronts: [front] }, { mode: "hypeman", onError: (error) => errors.push(error) })
      await ask("POST", "/ingresses", { body: documented() })
      const { live } = front
      failure = new FrontRefused({ front: "caddy", reason: "refused it", cause: "s3cret-cause" })
      const refused = await ask("POST", "/ingresses", { body: documented("b.example.com", "b") })
      expect([refused.status, refused.body.code]).toEqual([400, "config_validation_failed"])
      failure = new Error("s3cret-cause")
      const failed = await ask("POST", "/ingresses", { body: documented("b.example.com", "b") })
      expect([failed.status, failed.body.code]).toEqual([500, "internal_error"])
      expect(refused.text + failed.text).not.toContain("s3cret")
      expect(errors).toHaveLength(1)
      expect((await ask("GET", "/ingresses")).body.map(({ name }: { name: string }) => name)).toEqual([
        "my-api-ingress",
      ])
      expect(front.live).toBe(live)
    })

    it("4-35: a document without later fields is read, and one with a secret never shows it", async () => {
      const { ask } = await compatible()
      expect((await ask("POST", "/ingresses", { body: documented() })).body.rules[0]).not.toHaveProperty(
        "requireHeader",
      )
      const value = "s3cret-0123456789-0123456789-0123456789"
      const secret = {
        match: { hostname: "s.example.com" },
        target: { url: "http://10.0.0.5:1" },
        requireHeader: { name: "x-key", value },
      }
      const { body, text } = await ask("POST", "/ingresses", { body: ingress(secret) })
      expect(body.rules[0].requireHeader).toEqual({ name: "x-key", sha256: expect.stringMatching(/^[\da-f]{64}$/) })
      const texts = [text, (await ask("GET", "/ingresses/api")).text, (await ask("GET", "/ingresses")).text]
      expect(texts.join()).not.toContain("s3cret")
    })

    it("a list is a plain array of all; with a limit it is a page, and Link leads to the next one", async () => {
      const { ask } = await compatible()
      for (const at of [1, 2, 3]) await ask("POST", "/ingresses", { body: documented(`n${at}.example.com`, `n${at}`) })
      expect((await ask("GET", "/ingresses")).body).toHaveLength(3)
      const first = await ask("GET", "/ingresses?limit=2")
      expect(first.body).toHaveLength(2)
      const next = /^<(.+)>; rel="next"$/.exec(first.headers.get("link")!)![1]!
      const second = await ask("GET", next)
      expect(second.body).toHaveLength(1)
      expect(second.headers.has("link")).toBe(false)
    })
  })
}
