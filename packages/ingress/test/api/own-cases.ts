import { describe, expect, it } from "vitest"
import type { IngressesFactory } from "./real-ingresses.ts"
import { documented, ingress, rule, testApi, testFront } from "./test-api.ts"

/** What the API does in its own form, and for whom, for any implementation of `Ingresses`. */
export const ownCases = (name: string, factory: IngressesFactory): void => {
  const setup = (...rest: Parameters<typeof testApi> extends [unknown, ...infer Rest] ? Rest : never) =>
    testApi(factory, ...rest)

  describe(`${name}: our own form`, () => {
    it("what is documented for hypeman is declared unchanged, and shown in our words", async () => {
      const { ask } = await setup()
      const { status, body } = await ask("POST", "/ingresses", { body: documented() })
      expect(status).toBe(201)
      expect(body).toEqual({
        id: expect.any(String),
        name: "my-api-ingress",
        version: 1,
        createdAt: expect.stringMatching(/Z$/),
        updatedAt: expect.stringMatching(/Z$/),
        rules: [{ match: { hostname: "api.example.com", port: 80 }, target: { machine: "my-api", port: 8080 } }],
      })
    })

    it("pages lead through all of them, each once", async () => {
      const { ask } = await setup()
      for (let at = 0; at < 5; at++) {
        await ask("POST", "/ingresses", { body: documented(`n${at}.example.com`, `n${at}`) })
      }
      const seen: string[] = []
      let path = "/ingresses?limit=2"
      for (let pages = 0; pages < 5; pages++) {
        const { body } = await ask("GET", path)
        seen.push(...body.ingresses.map(({ id }: { id: string }) => id))
        if (body.next === undefined) break
        path = `/ingresses?limit=2&cursor=${encodeURIComponent(body.next)}`
      }
      expect(new Set(seen).size).toBe(5)
      expect(seen).toHaveLength(5)
    })

    it("a dry run shows the diffs and changes nothing", async () => {
      const front = testFront()
      const { ask } = await setup({ fronts: [front] })
      const body = documented()
      const planned = await ask("POST", "/ingresses?dryRun=true", { body })
      expect([planned.status, planned.headers.has("location"), planned.headers.has("etag")]).toEqual([
        200,
        false,
        false,
      ])
      const diff = expect.stringContaining("+my-api-ingress")
      expect(planned.body.diffs).toContainEqual({ front: "caddy", diff })
      expect((await ask("GET", "/ingresses")).body).toEqual({ ingresses: [] })
      await ask("POST", "/ingresses?dryRun=false", { body })
      const renamed = { ...body, name: "renamed" }
      expect((await ask("PUT", "/ingresses/my-api-ingress?dryRun=true", { body: renamed })).body.ingress.name).toBe(
        "renamed",
      )
      const removal = await ask("DELETE", "/ingresses/my-api-ingress?dryRun=true")
      const gone = expect.stringContaining("-my-api-ingress")
      expect([removal.status, removal.body]).toEqual([200, { diffs: [{ front: "caddy", diff: gone }] }])
      expect((await ask("GET", "/ingresses/my-api-ingress")).body.version).toBe(1)
      expect(front.live).toBe("my-api-ingress")
    })

    it("a version that is not the current one is 412, and nothing changes", async () => {
      const { ask } = await setup()
      const body = documented()
      const created = await ask("POST", "/ingresses", { body })
      expect(created.headers.get("etag")).toBe('"1"')
      const path = `/ingresses/${created.body.id}`
      const put = (tag: string) => ask("PUT", path, { body, headers: { "if-match": tag } })
      const first = await put('"1"')
      expect([first.status, first.headers.get("etag"), first.body.version]).toEqual([200, '"2"', 2])
      const stale = await put('"1"')
      expect([stale.status, stale.body.code]).toEqual([412, "version_conflict"])
      expect((await ask("DELETE", path, { headers: { "if-match": '"1"' } })).status).toBe(412)
      expect((await put("*")).headers.get("etag")).toBe('"3"')
      expect((await ask("PUT", path, { body })).headers.get("etag")).toBe('"4"')
      expect((await ask("DELETE", path, { headers: { "if-match": '"4"' } })).status).toBe(204)
      expect((await ask("GET", path)).status).toBe(404)
    })

    it("what GET gave can be put back, and keeps a secret that it does not show", async () => {
      const front = testFront()
      const { ask, ingresses } = await setup({ fronts: [front] })
      const value = "s3cret-0123456789-0123456789-0123456789"
      const address = { machine: undefined, port: undefined, url: "http://10.0.0.5:8080" }
      const sent = ingress(
        rule({ requireHeader: { name: "x-key", value }, tls: true, redirectHttp: true }, {}, address),
        rule({ allowCidrs: ["10.0.0.0/8"] }, { path: { exact: "/x" }, method: "GET", headers: { a: "b" } }, address),
        {
          match: { hostname: "w.example.com" },
          targets: [{ machine: "mach_1", port: 1, weight: 2 }, { url: "https://[2001:db8::1]:8443" }],
        },
      )
      const { body } = await ask("POST", "/ingresses", { body: sent })
      const before = await ingresses.read("api")
      const again = await ask("PUT", "/ingresses/api", { body })
      expect([again.status, again.text.includes("s3cret")]).toEqual([200, false])
      expect((await ingresses.read("api")).rules).toEqual(before.rules)
      expect(front.given[0]?.rules[0]?.requireHeader?.value).toBe(value)
      // Another name or hash is another field, whose value nobody knows.
      const { sha256 } = body.rules[0].requireHeader
      const other = { ...body, rules: [{ ...body.rules[0], requireHeader: { name: "x-other", sha256 } }] }
      await ask("PUT", "/ingresses/api", { body: other })
      expect((await ingresses.read("api")).rules[0]?.requireHeader).toEqual({ name: "x-other", sha256 })
    })

    it("the status is the one of the platform", async () => {
      const { ask, ingresses } = await setup()
      const { body } = await ask("POST", "/ingresses", { body: documented() })
      const said = await ask("GET", `/ingresses/${body.id}/status`)
      expect(said.body).toMatchObject({ id: body.id, name: body.name })
      expect(said.body.parents.map(({ parent }: { parent: string }) => parent)).toEqual(
        (await ingresses.status(body.id)).parents.map(({ parent }) => parent),
      )
    })
  })

  describe(`${name}: owners`, () => {
    it("an owner sees and changes nothing of another", async () => {
      const { ask } = await setup()
      const alices = await ask("POST", "/ingresses", { body: documented(), as: "alice" })
      expect(alices.body.owner).toBe("alice")
      const path = `/ingresses/${alices.body.id}`
      for (const [method, at, body] of [
        ["GET", path, undefined],
        ["GET", "/ingresses/my-api-ingress", undefined],
        ["GET", `${path}/status`, undefined],
        ["PUT", path, documented()],
        ["DELETE", path, undefined],
      ] as const) {
        const said = await ask(method, at, { body, as: "bob" })
        expect([method, said.status, said.body.code]).toEqual([method, 404, "not_found"])
      }
      expect((await ask("GET", "/ingresses", { as: "bob" })).body).toEqual({ ingresses: [] })
      expect((await ask("GET", "/ingresses", { as: "operator" })).body.ingresses).toHaveLength(1)
      expect((await ask("GET", path, { as: "alice" })).body).toEqual(alices.body)
    })

    it("a target of another owner wants a grant, which its owner gives, sees and takes back", async () => {
      const { ask } = await setup()
      const said = await ask("POST", "/ingresses", { body: documented(), as: "bob" })
      expect([said.status, said.body.code]).toEqual([403, "grant_required"])
      const grant = { to: "bob", target: { machine: "my-api" } }
      const wrong = await ask("POST", "/grants", { body: { ...grant, owner: "alice" }, as: "bob" })
      expect([wrong.status, wrong.body.code, wrong.body.field]).toEqual([403, "forbidden", "owner"])
      expect((await ask("POST", "/grants", { body: grant, as: "operator" })).body.field).toBe("owner")
      const made = await ask("POST", "/grants", { body: grant, as: "alice" })
      expect([made.status, made.body]).toEqual([
        201,
        { id: expect.any(String), owner: "alice", ...grant, createdAt: expect.stringMatching(/Z$/) },
      ])
      expect((await ask("POST", "/ingresses", { body: documented(), as: "bob" })).status).toBe(201)
      expect((await ask("GET", "/grants", { as: "alice" })).body).toEqual({ grants: [made.body] })
      expect((await ask("DELETE", `/grants/${made.body.id}`, { as: "alice" })).status).toBe(204)
      expect((await ask("GET", "/grants", { as: "alice" })).body).toEqual({ grants: [] })
      expect((await ask("DELETE", `/grants/${made.body.id}`, { as: "alice" })).status).toBe(404)
    })
  })
}
