/** 4-18: the 404 of hostnames that no ingress has. */
import { describe, expect, it } from "vitest"
import { serveNode } from "@project-ingress/router/node"
import { setup } from "../../../router/test/fakes.ts"
import { rawRequest } from "./raw-request.ts"
import { hypemanNotFound, hypemanResponses } from "../../src/compatible.ts"

const texts = [
  ["caddy", (hostname: string) => `Not Found: no ingress configured for hostname ${hostname}`],
  ["envoy", () => "No ingress found for this hostname"],
] as const

describe.each(texts)("4-18: a hostname without an ingress, as %s says it", (front, text) => {
  it("is 404 in plain text from a router, over its sockets and by fetch", async () => {
    const { router } = setup({ errorResponses: hypemanResponses(front) })
    const notFound = hypemanNotFound(front)
    const served = await serveNode(router).listen({ hostname: "127.0.0.1" })
    for (const hostname of ["nobody.iterate.app", "other.example.com"]) {
      const request = new Request(`http://${hostname}/x`)
      const byFetch = (await router.fetch(request)) ?? notFound(request)
      expect([byFetch.status, await byFetch.text()]).toEqual([404, text(hostname)])
      const { status, body, fields } = await rawRequest(served.port, "GET /x", { host: hostname })
      expect([status, body, fields["content-type"]]).toEqual([404, text(hostname), "text/plain; charset=utf-8"])
    }
    await served.close({ deadlineMs: 0 })
  })

  it("shows nothing of an invalid hostname", async () => {
    const row = {} as never
    const respond = (hostname: string) =>
      hypemanResponses(front)["RouteNotFound"]!(row, { subject: { hostname } } as never)!
    const hostile = `<script>\r\nX: y\u0000${"a".repeat(9_000)}`
    const { body, headers } = respond(hostile)
    expect(body).not.toMatch(/[<>\r\n\0]/)
    expect(body).toHaveLength(text("x".repeat(253)).length)
    expect(headers).toContain("text/plain; charset=utf-8")
    const head = hypemanNotFound(front)(new Request("http://x.example.com/", { method: "HEAD" }))
    expect([head.status, await head.text()]).toEqual([404, ""])
  })
})
