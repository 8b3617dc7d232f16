/** Tokens and links behind both hosts of the router, and the fields that the machine gets, byte for byte. */
import { createServer, request as httpRequest } from "node:http"
import type { IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { local } from "@project-ingress/providers/local"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startWorker } from "../../../../test/start-worker.ts"
import type { StartedWorker } from "../../../../test/start-worker.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import { keys, values } from "../fakes.ts"
import { grantsOptions } from "./grants-platform.ts"
import { grantOf, link, token } from "./world.ts"

type Host = StartedWorker

const inWorkerd = (): Promise<Host> =>
  startWorker(new URL("grants-worker.ts", import.meta.url), { SIGNING_KEY: { ...keys.signing } })

const onNode = async (): Promise<Host> => {
  const app = createServer((request, response) => {
    response.setHeader("x-iterate-proxy-stamp", "unproven")
    response.end(JSON.stringify(request.rawHeaders))
  })
  await new Promise<void>((listening) => app.listen(0, "127.0.0.1", listening))
  const metadata = { port: (app.address() as AddressInfo).port }
  const machine = { id: "mach_1", type: "local", externalId: "dev", metadata }
  const router = createRouter({ ...grantsOptions(keys.signing, machine), providers: [local()] })
  const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
  return {
    port: listening.port,
    dispose: async () => {
      await listening.close({ deadlineMs: 0 })
      app.close()
      await router.dispose()
    },
  }
}

const hostname = "8000__misha.iterate.app"

describe.each([
  ["Node", onNode],
  ["workerd", inWorkerd],
] as const)("on %s", (_, start) => {
  let host: Host
  beforeAll(async () => {
    host = await start()
  })
  afterAll(() => host.dispose())

  const ask = (path: string, headers: Record<string, string | string[]>, method = "GET") =>
    new Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }>(
      (resolve, reject) => {
        const at = { host: "127.0.0.1", port: host.port, path, method, agent: false }
        const request = httpRequest({ ...at, headers: { host: hostname, ...headers } }, (response) => {
          let body = ""
          response.on("data", (chunk) => (body += String(chunk)))
          response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body }))
        })
        request.on("error", reject)
        request.end()
      },
    )
  const got = async (headers: Record<string, string | string[]>): Promise<string[]> => {
    const { status, body } = await ask("/", headers)
    expect([status, body]).toEqual([200, expect.stringMatching(/^\[/)])
    expect(body).not.toContain("ingress_")
    return JSON.parse(body) as string[]
  }

  it("a token opens the port, and everything but the token gets to the app as it was sent", async () => {
    const { token: value } = await token()
    expect((await ask("/", {})).status).toBe(401)
    const own = 'Digest  username="a b", uri="/", response="ingress"'
    const cookie = 'a="1; x";  b=%20'
    const inField = await got({ "X-Ingress-Token": value, authorization: own, cookie })
    expect([values(inField, "authorization"), values(inField, "cookie")]).toEqual([[own], [cookie]])
    expect(values(inField, "x-ingress-token")).toEqual([])
    const inAuthorization = await got({ Authorization: `Bearer ${value}`, cookie })
    expect([values(inAuthorization, "authorization"), values(inAuthorization, "cookie")]).toEqual([[], [cookie]])
  })

  it("a token that is not good is challenged", async () => {
    const forged = await ask("/", { authorization: "Bearer ingress_x.y.z" })
    expect([forged.status, forged.headers["www-authenticate"]]).toEqual([401, 'Bearer error="invalid_token"'])
    const { token: other } = await token({ port: 1 })
    const refused = await ask("/", { "x-ingress-token": other })
    expect([refused.status, refused.headers["www-authenticate"]]).toEqual([403, 'Bearer error="insufficient_scope"'])
    expect((await ask("/", { authorization: [`Bearer ${other}`, "Basic eA=="] })).status).toBe(401)
  })

  it("a link is opened, and its cookie opens the port and gets to no app", async () => {
    const page = await ask("/_/link", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" })
    expect([page.status, page.headers["content-type"]]).toEqual([200, "text/html; charset=utf-8"])
    const framed = await ask("/_/link", { "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" })
    expect(framed.headers["content-security-policy"]).toMatch(/; frame-ancestors 'self' https:\/\/docs\.example$/)
    expect((await ask("/_/link", {}, "HEAD")).body).toBe("")

    const origin = `http://${hostname}`
    const grant = grantOf(await link({ path: "/docs" }))
    const crossSite = await ask("/_/link", { origin: "https://evil.example", "x-ingress-link": grant }, "POST")
    expect([crossSite.status, crossSite.headers["set-cookie"]]).toEqual([403, undefined])
    const redeemed = await ask("/_/link", { origin, "x-ingress-link": grant }, "POST")
    expect([redeemed.status, redeemed.body]).toEqual([200, '{"path":"/docs"}\n'])
    const [line] = redeemed.headers["set-cookie"]!
    expect(line).toMatch(/^__Host-ingress-link=.*; HttpOnly; Secure; SameSite=None; Partitioned$/)
    const fields = await got({ cookie: `a="1; x";  ${line!.split(";")[0]}; b=%20` })
    expect(values(fields, "cookie")).toEqual(['a="1; x"; b=%20'])
  })

  it("the app says who may frame it, and so does the platform", async () => {
    const { token: value } = await token()
    const { headers } = await ask("/", { "x-ingress-token": value })
    expect(headers["content-security-policy"]).toBe("frame-ancestors 'self' https://docs.example")
  })
})
