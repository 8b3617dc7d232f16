import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Webhook } from "standardwebhooks"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { mailReceiver, resendWebhook } from "../../src/email.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { hostnames, machine, setup, stamped, values } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"
import { message } from "./fakes.ts"

const secret = `whsec_${Buffer.from("a secret of thirty-two bytes....").toString("base64")}`
const received = (data: object = {}) => ({
  type: "email.received",
  created_at: "2026-11-30T00:00:00Z",
  data: { email_id: "e1", from: "Ann <ann@example.com>", to: ["bot@example.com"], cc: [], bcc: [], ...data },
})

/** A request as Resend sends it. */
const signed = (event: unknown, { id = "msg_1", at = new Date(), by = secret, body = JSON.stringify(event) } = {}) => {
  const headers = {
    "svix-id": id,
    "svix-timestamp": String(Math.floor(at.getTime() / 1000)),
    "svix-signature": new Webhook(by).sign(id, at, JSON.stringify(event)),
  }
  return new Request("https://os.example/webhooks/resend", { method: "POST", headers, body })
}

let server: Server
let api: string
let asked: string[]
let downloadUrl: (origin: string) => string
let apiStatus: number
beforeEach(async () => {
  asked = []
  apiStatus = 200
  downloadUrl = (origin) => `${origin}/raw/e1?signature=s`
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? "-"}`)
    if (request.url!.startsWith("/raw/")) response.end(message)
    else
      response
        .writeHead(apiStatus, { "content-type": "application/json" })
        .end(JSON.stringify({ object: "email", id: "e1", raw: { download_url: downloadUrl(api) } }))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  api = `http://localhost:${(server.address() as AddressInfo).port}`
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
})

const webhook = (answer: () => Response = () => stamped(null, { status: 204 })) => {
  const sent: (Outgoing & { text: string })[] = []
  const { router } = setup({
    store: memoryStore({ "p:misha": { machine: machine("mach_1"), services: { mail: 2525 } } }),
    answer: async (outgoing) => {
      sent.push({ ...outgoing, text: await new Response(outgoing.body).text() })
      return answer()
    },
  })
  const mail = mailReceiver(router, {
    grammar: hostnames,
    resolve: (address) => (address === "bot@example.com" ? "misha" : undefined),
  })
  return { sent, take: resendWebhook(mail, { secret, apiKey: "re_key", api, downloads: "localhost" }) }
}

describe("Resend's webhook", () => {
  it("brings the whole message to the machine of each recipient's project", async () => {
    const { sent, take } = webhook()
    const event = received({ to: ["Bot <bot@example.com>", "a@misha.iterate.app"], cc: ["other@example.org"] })
    expect((await take(signed(event))).status).toBe(200)
    expect(asked[0]).toBe("/emails/receiving/e1 Bearer re_key")
    // The download is signed by its URL: the key goes to the API alone.
    expect(asked[1]).toBe("/raw/e1?signature=s -")
    expect(sent.map(({ text, headers }) => [text, ...values(headers, "x-iterate-mail-to")])).toEqual([
      [message, "bot@example.com"],
      [message, "a@misha.iterate.app"],
    ])
    expect(values(sent[0]!.headers, "x-iterate-mail-from")).toEqual(["ann@example.com"])
    expect(values(sent[0]!.headers, "x-iterate-mail-via")).toEqual(["resend"])
  })

  it.each([
    ["another secret", () => signed(received(), { by: `whsec_${Buffer.from("x".repeat(32)).toString("base64")}` })],
    ["another body", () => signed(received(), { body: JSON.stringify(received({ to: ["a@misha.iterate.app"] })) })],
    ["a time ten minutes ago", () => signed(received(), { at: new Date(Date.now() - 600_000) })],
    ["a time in ten minutes", () => signed(received(), { at: new Date(Date.now() + 600_000) })],
    ["no signature", () => new Request("https://os.example/", { method: "POST", body: JSON.stringify(received()) })],
  ])("with %s is refused, and asks nobody", async (_, request) => {
    const { sent, take } = webhook()
    expect((await take(request())).status).toBe(401)
    expect([asked, sent]).toEqual([[], []])
  })

  it.each([
    ["another event", { type: "email.sent", data: {} }, 200],
    ["a received mail without an id", received({ email_id: undefined }), 400],
    ["recipients that are no texts", received({ to: [1] }), 400],
    ["100 recipients", received({ to: Array.from({ length: 100 }, (_, i) => `a${i}@misha.iterate.app`) }), 400],
    ["no data", { type: "email.received", data: null }, 400],
    ["a list", [], 200],
  ])("of %s delivers nothing: %#", async (_, event, status) => {
    const { sent, take } = webhook()
    expect((await take(signed(event))).status).toBe(status)
    expect([asked, sent]).toEqual([[], []])
  })

  it("asks to be sent again while the machine is down or the message cannot be fetched", async () => {
    const down = webhook(() => stamped(null, { status: 503 }))
    const response = await down.take(signed(received()))
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "60"])
    apiStatus = 500
    expect((await webhook().take(signed(received()))).status).toBe(503)
  })

  it.each([
    ["another host", () => "http://169.254.169.254/latest/meta-data"],
    ["another scheme", () => "file:///etc/passwd"],
    ["no URL", () => "raw"],
  ])("fetches nothing from %s", async (_, url) => {
    downloadUrl = url
    const { sent, take } = webhook()
    expect((await take(signed(received()))).status).toBe(503)
    expect([asked.length, sent]).toEqual([1, []])
  })

  it("follows no redirect, wherever the storage sends it", async () => {
    const inside = createServer((_, response) => void response.end("a secret of the network"))
    await new Promise<void>((resolve) => inside.listen(0, "127.0.0.1", resolve))
    const to = `http://127.0.0.1:${(inside.address() as AddressInfo).port}/`
    server.removeAllListeners("request").on("request", (request, response) => {
      if (request.url!.startsWith("/raw/")) response.writeHead(302, { location: to }).end()
      else response.end(JSON.stringify({ raw: { download_url: downloadUrl(api) } }))
    })
    const { sent, take } = webhook()
    expect([(await take(signed(received()))).status, sent]).toEqual([503, []])
    inside.close()
  })

  it("is a POST of at most 1 MiB", async () => {
    const { take } = webhook()
    expect((await take(new Request("https://os.example/"))).status).toBe(405)
    const body = "x".repeat(1_048_577)
    expect((await take(new Request("https://os.example/", { method: "POST", body }))).status).toBe(413)
  })

  it.each([
    [{ secret: "hunter2", apiKey: "k" }, "resendWebhook: secret must be a secret that begins with whsec_"],
    [{ secret }, "resendWebhook: apiKey must be"],
    [{ secret, apiKey: "k", api: "https://api.resend.com/" }, "api must be an origin"],
  ])("refuses %j without showing it", (options, error) => {
    const make = () => resendWebhook(mailReceiver(setup().router, { grammar: hostnames }), options as never)
    expect(make).toThrow(error)
    expect(make).not.toThrow("hunter2")
  })
})
