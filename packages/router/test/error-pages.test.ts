/** Error responses that a platform replaces by tag. */
import { forwardErrors } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { AccessDenied } from "../src/router.ts"
import type { ErrorResponses, FailedRequest } from "../src/router.ts"
import { machine, setup, stamped } from "./fakes.ts"

const ask = async (
  options: Parameters<typeof setup>[0],
  headers: Record<string, string> = {},
  url = "http://4096__nobody.iterate.app/",
) => {
  const response = await setup(options).router.fetch(new Request(url, { headers }))
  return { status: response!.status, body: await response!.text(), headers: Object.fromEntries(response!.headers) }
}
const page = { "sec-fetch-mode": "navigate" }
const standard = { status: 404, headers: { "x-iterate-proxy-error": "ROUTE_NOT_FOUND" } }

it("are given the row, and what is known of the request", async () => {
  const seen: [string, FailedRequest][] = []
  const errorResponses: ErrorResponses = {
    RouteNotFound: (row, request) => {
      seen.push([row.code, request])
      return request.page ? { status: 404, headers: ["Content-Type", "text/html"], body: "<h1>Ours</h1>" } : undefined
    },
  }
  const replaced = await ask({ errorResponses }, page)
  expect(replaced).toMatchObject({ status: 404, body: "<h1>Ours</h1>", headers: { "content-type": "text/html" } })
  const { body, headers } = await ask({ errorResponses }, { accept: "application/json" })
  expect(JSON.parse(body)).toMatchObject({ error: "ROUTE_NOT_FOUND" })
  const subject = { hostname: "4096__nobody.iterate.app", project: "nobody", port: 4096 }
  const requestId = replaced.headers["x-iterate-proxy-request-id"]
  expect(seen).toEqual([
    ["ROUTE_NOT_FOUND", { page: true, format: "page", requestId, subject }],
    ["ROUTE_NOT_FOUND", { page: false, format: "json", requestId: headers["x-iterate-proxy-request-id"], subject }],
  ])
})

it("have the headers of the code and of the request's id, unless they bring their own", async () => {
  const made = (headers: string[]) => ({ RouteNotFound: () => ({ status: 404, headers }) })
  expect((await ask({ errorResponses: made([]) })).headers).toMatchObject({
    "x-iterate-proxy-error": "ROUTE_NOT_FOUND",
    "x-iterate-proxy-request-id": expect.stringMatching(/^[a-z0-9-]+$/),
  })
  const own = { "x-iterate-proxy-error": "NOTHING", "x-iterate-proxy-request-id": "r" }
  expect((await ask({ errorResponses: made(Object.entries(own).flat()) })).headers).toEqual(own)
})

it("that throw leave the standard one", async () => {
  const errorResponses = {
    RouteNotFound: () => {
      throw new Error("template missing")
    },
  }
  const { status, headers } = await ask({ errorResponses }, page)
  expect([status, headers["content-type"]]).toEqual([404, "text/html; charset=utf-8"])
})

it("of other tags are not asked, whatever an object's prototype holds", async () => {
  expect(await ask({ errorResponses: {} }, page)).toMatchObject(standard)
  const inherited: ErrorResponses = Object.create({ RouteNotFound: () => ({ status: 200, headers: [] }) })
  expect(await ask({ errorResponses: inherited })).toMatchObject(standard)
})

it("hide a denial all the same: what replaces a missing route replaces it", async () => {
  const errorResponses: ErrorResponses = {
    RouteNotFound: (row, { subject, format }) => ({
      status: 404,
      headers: [],
      body: JSON.stringify([row, subject, format]),
    }),
  }
  const policies = [() => ({ deny: new AccessDenied({ hidden: true }) })]
  const { status, body } = await ask({ errorResponses, policies }, page, "http://4096__misha.iterate.app/")
  const missing = await ask(
    { errorResponses, store: { get: () => ({ status: "miss" }) } },
    page,
    "http://4096__misha.iterate.app/",
  )
  expect([status, body]).toEqual([missing.status, missing.body])
})

it("that are no responses leave the standard one", async () => {
  const errorResponses = { RouteNotFound: () => ({ status: 404, headers: ["x-a"] }) }
  const { body } = await ask({ errorResponses })
  expect(body).toMatch(/^404 ROUTE_NOT_FOUND: /)
})

describe("to what a machine's proxy generated", () => {
  const url = "http://4096__misha.iterate.app/"
  const closed = (headers: Record<string, string>) => stamped("the machine's", { status: 502, headers })
  const code = { "x-iterate-proxy-error": "PORT_CLOSED" }
  const errorResponses: ErrorResponses = {
    PortClosed: (_row, { subject }) => ({ status: 503, headers: [], body: `our port ${subject.port}` }),
  }

  it("are given as to the router's own failures, and the event says so", async () => {
    const events: unknown[] = []
    const onEvent = (event: unknown) => events.push(event)
    const replaced = await ask({ errorResponses, onEvent, answer: () => closed(code) }, {}, url)
    expect(replaced).toMatchObject({ status: 503, body: "our port 4096", headers: code })
    const requestId = replaced.headers["x-iterate-proxy-request-id"]
    expect(events).toMatchObject([{ type: "request", status: 503, requestId }])
  })

  it("are not given to an app's own response, nor where none is for the code", async () => {
    const passed = { status: 502, body: "the machine's" }
    expect(await ask({ errorResponses, answer: () => closed({}) }, {}, url)).toMatchObject(passed)
    expect(await ask({ answer: () => closed(code) }, {}, url)).toMatchObject(passed)
    const forbidden = { "x-iterate-proxy-error": "PORT_FORBIDDEN" }
    expect(await ask({ errorResponses, answer: () => closed(forbidden) }, {}, url)).toMatchObject(passed)
  })

  it("cancel its body", async () => {
    const cancelled = new Promise((resolve) => {
      const body = new ReadableStream({ cancel: () => resolve("cancelled") })
      void ask({ errorResponses, answer: () => stamped(body, { status: 502, headers: code }) }, {}, url)
    })
    expect(await cancelled).toBe("cancelled")
  })
})

it("may be given for every tag of an engine, and for those of policies", () => {
  const tags = [...Object.keys(forwardErrors), "AccessDenied", "LoginRequired", "QuotaExceeded"]
  expect(() => setup({ errorResponses: Object.fromEntries(tags.map((tag) => [tag, () => undefined])) })).not.toThrow()
})

it("a service that a project does not have is named as that, and the others are not", async () => {
  const { router, routes } = setup()
  routes.attach("p:misha", { machine: machine("mach_1"), services: { secret: 8000 } })
  const ask = async (host: string) => (await router.fetch(new Request(`http://${host}/`)))!.text()
  const text = await ask("web--misha.iterate.app")
  expect(text).toContain(
    "404 ROUTE_NOT_FOUND: There is no service at web--misha.iterate.app: project misha has none of this name.",
  )
  expect(text).not.toContain("secret")
  expect(await ask("web--nobody.iterate.app")).toContain("There is no project at web--nobody.iterate.app.")
  // To whom the project is closed it is not there.
  const hidden = setup({ policies: [() => ({ deny: new AccessDenied({ hidden: true }) })] })
  hidden.routes.attach("p:misha", { machine: machine("mach_1"), services: {} })
  const response = await hidden.router.fetch(new Request("http://web--misha.iterate.app/"))
  expect(await response!.text()).toContain("There is no project at web--misha.iterate.app.")
})
