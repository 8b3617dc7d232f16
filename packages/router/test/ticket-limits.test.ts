import { describe, expect, it } from "vitest"
import { machine, setup } from "./fakes.ts"

describe("a client that asks for every port of one project", () => {
  it("is told to wait, and costs no other project and no port in use a ticket", async () => {
    const { router, routes, sent } = setup()
    routes.attach("p:other", { machine: machine("mach_2") })
    const ask = async (host: string) => (await router.fetch(new Request(`http://${host}.iterate.app/`)))!
    expect((await ask("3000__misha")).status).toBe(200)
    const all = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`${10_000 + i}__misha`)))
    const refused = all.filter(({ status }) => status === 503)
    // Some more may be signed on a machine that is slow: ten a second.
    expect(refused.length).toBeGreaterThan(0)
    for (const { headers } of refused) {
      expect([headers.get("x-iterate-proxy-error"), headers.get("retry-after")]).toEqual(["TICKETS_LIMITED", "1"])
    }
    expect(sent).toHaveLength(201 - refused.length)
    expect((await ask("3000__misha")).status).toBe(200)
    expect((await ask("3000__other")).status).toBe(200)
  })
})
