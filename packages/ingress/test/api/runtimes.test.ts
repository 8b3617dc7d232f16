import { serveNode } from "@project-ingress/router/node"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startWorker } from "../../../../test/start-worker.ts"
import { setup } from "../../../router/test/fakes.ts"
import { ingressApi, ingressClient } from "../../src/api.ts"
import { realIngresses } from "./real-ingresses.ts"
import { rawRequest } from "./raw-request.ts"
import { documented } from "./test-api.ts"

const TOKEN = "runtime-token-0123456789"

const inWorkerd = () => startWorker(new URL("worker.ts", import.meta.url), { TOKEN })

const inNode = async () => {
  const ingresses = await realIngresses({ machines: [{ id: "my-api" }] })
  const api = ingressApi({ ingresses, tokens: [{ token: TOKEN }], basePath: "/v1" })
  const { port, close } = await serveNode(setup().router, { fallback: api.fetch }).listen({ hostname: "127.0.0.1" })
  return { port, dispose: () => close({ deadlineMs: 0 }) }
}

describe.each([
  ["a Worker", inWorkerd],
  ["serveNode's fallback", inNode],
])("the API in %s", (_name, start) => {
  let host: Awaited<ReturnType<typeof start>>
  beforeAll(async () => void (host = await start()))
  afterAll(() => host?.dispose())

  const authorization = { authorization: `Bearer ${TOKEN}` }
  const json = { ...authorization, "content-type": "application/json" }
  const ask = (head: string, fields = {}, body = "") => rawRequest(host.port, head, fields, body)

  it("declares, reads, replaces and removes an ingress", async () => {
    const created = await ask("POST /v1/ingresses", json, JSON.stringify(documented()))
    const { id } = JSON.parse(created.body)
    expect([created.status, created.fields["etag"], created.fields["location"]]).toEqual([
      201,
      '"1"',
      `/v1/ingresses/${id}`,
    ])
    expect(created.fields["cache-control"]).toBe("no-store")
    const read = await ask("GET /v1/ingresses/my-api-ingress", authorization)
    expect(read.body).toBe(created.body)
    const head = await ask("HEAD /v1/ingresses/my-api-ingress", authorization)
    expect([head.status, head.body, head.fields["etag"]]).toEqual([200, "", '"1"'])
    const renamed = JSON.stringify(documented("api.example.com", "renamed"))
    const stale = await ask(`PUT /v1/ingresses/${id}`, { ...json, "if-match": '"7"' }, renamed)
    expect(stale.status).toBe(412)
    const put = await ask(`PUT /v1/ingresses/${id}`, { ...json, "if-match": '"1"' }, renamed)
    expect([put.status, put.fields["etag"]]).toEqual([200, '"2"'])
    const removed = await ask("DELETE /v1/ingresses/renamed", authorization)
    expect([removed.status, removed.body]).toEqual([204, ""])
  })

  it("refuses what is not for it, each with its own status", async () => {
    const body = JSON.stringify(documented())
    const status = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status
    expect(await status("GET /v1/ingresses")).toBe(401)
    expect(await status("GET /ingresses", authorization)).toBe(404)
    expect(await status("POST /v1/ingresses", { ...json, "content-type": "text/plain" }, body)).toBe(415)
    expect(await status("POST /v1/ingresses", json, "{")).toBe(400)
    expect(await status("POST /v1/ingresses", json, `"${"x".repeat(1_048_576)}"`)).toBe(413)
    const method = await ask("PATCH /v1/ingresses/x", json, body)
    expect([method.status, method.fields["allow"]]).toEqual([405, "GET, HEAD, PUT, DELETE"])
    const preflight = await ask("OPTIONS /v1/ingresses", { origin: "https://evil.example" })
    expect(preflight.status).toBe(405)
    expect(Object.keys(preflight.fields).filter((name) => name.startsWith("access-control"))).toEqual([])
  })

  it("stops reading a body of unknown length above the limit", async () => {
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`
    const chunked = `${chunk.repeat(17)}0\r\n\r\n`
    const { status } = await ask("POST /v1/ingresses", { ...json, "transfer-encoding": "chunked" }, chunked)
    expect(status).toBe(413)
  })

  it("gives the document and the page without a token, and the page loads nothing", async () => {
    expect(JSON.parse((await ask("GET /v1/openapi.json")).body).servers).toEqual([{ url: "/v1" }])
    const page = await ask("GET /v1/docs")
    expect(page.fields["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-/)
    expect(page.body).not.toMatch(/<script|src=|@import|url\(/i)
  })

  it("is called by the typed client", async () => {
    const client = ingressClient({ baseUrl: `http://127.0.0.1:${host.port}/v1`, token: TOKEN })
    const { id, version } = await client.create(documented())
    expect(await client.read(id)).toMatchObject({ id, version })
    await client.remove(id, { ifVersion: version })
    await expect(client.read(id)).rejects.toMatchObject({ code: "not_found" })
  })
})
