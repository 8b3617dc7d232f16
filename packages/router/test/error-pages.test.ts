/** Error responses that a platform replaces by tag. */
import { expect, it } from "vitest"
import { AccessDenied } from "../src/router.ts"
import { setup } from "./fakes.ts"

const ask = async (options: Parameters<typeof setup>[0], headers: Record<string, string> = {}) => {
  const response = await setup(options).router.fetch(new Request("http://nobody.iterate.app/", { headers }))
  return { status: response!.status, body: await response!.text(), type: response!.headers.get("content-type") }
}
const page = { "sec-fetch-mode": "navigate" }

it("are given the row, and whether a page is wanted", async () => {
  const seen: unknown[] = []
  const errorResponses = {
    RouteNotFound: (row: { readonly code: string }, { page }: { readonly page: boolean }) => {
      seen.push([row.code, page])
      return page ? { status: 404, headers: ["Content-Type", "text/html"], body: "<h1>Ours</h1>" } : undefined
    },
  }
  expect(await ask({ errorResponses }, page)).toEqual({ status: 404, body: "<h1>Ours</h1>", type: "text/html" })
  expect(await ask({ errorResponses })).toMatchObject({ status: 404, type: "application/json" })
  expect(seen).toEqual([
    ["ROUTE_NOT_FOUND", true],
    ["ROUTE_NOT_FOUND", false],
  ])
})

it("that throw leave the standard one", async () => {
  const errorResponses = {
    RouteNotFound: () => {
      throw new Error("template missing")
    },
  }
  expect(await ask({ errorResponses }, page)).toMatchObject({ status: 404, type: "text/html; charset=utf-8" })
})

it("of other tags are not asked, whatever an object's prototype holds", async () => {
  expect(await ask({ errorResponses: {} }, page)).toMatchObject({ status: 404 })
  expect(
    await ask({ errorResponses: Object.create({ RouteNotFound: () => ({ status: 200, headers: [] }) }) }),
  ).toMatchObject({
    status: 404,
  })
})

it("hide a denial all the same: what replaces a missing route replaces it", async () => {
  const errorResponses = { RouteNotFound: () => ({ status: 404, headers: [], body: "nothing here" }) }
  const policies = [() => ({ deny: new AccessDenied({ hidden: true }) })]
  const hidden = await setup({ errorResponses, policies }).router.fetch(new Request("http://misha.iterate.app/"))
  const missing = await setup({ errorResponses }).router.fetch(new Request("http://nobody.iterate.app/"))
  expect([hidden?.status, await hidden?.text()]).toEqual([missing?.status, await missing?.text()])
})

it("that are no responses leave the standard one", async () => {
  const errorResponses = { RouteNotFound: () => ({ status: 404, headers: ["x-a"] }) }
  expect(await ask({ errorResponses })).toMatchObject({ status: 404, type: "application/json" })
})
