import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { createServer as createHttpServer } from "node:http"
import { machineKey } from "@project-ingress/forward"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { Webhook } from "standardwebhooks"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { bundleWorker } from "../../../../test/bundle-worker.ts"
import { emailHandler, mailReceiver } from "../../src/email.ts"
import { hostnames, keys, setup, stamped } from "../fakes.ts"
import { message } from "./fakes.ts"

describe("in workerd, with a machine proxy and an app behind it", () => {
  let worker: Miniflare
  let received: { readonly headers: Record<string, unknown>; readonly text: string }[]
  let app: ReturnType<typeof createHttpServer>
  let proxy: ReturnType<typeof createServer>
  let status: number
  let port: number
  let resend: ReturnType<typeof createHttpServer>

  beforeEach(async () => {
    received = []
    status = 200
    app = createHttpServer((request, response) => {
      const pieces: Buffer[] = []
      request.on("data", (piece: Buffer) => pieces.push(piece))
      request.on("end", () => {
        received.push({ headers: request.headers, text: Buffer.concat(pieces).toString() })
        response.writeHead(status, { "content-type": "text/plain" }).end("nobody reads this mailbox")
      })
    })
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve))
    port = (app.address() as AddressInfo).port
    resend = createHttpServer((request, response) => {
      const download_url = `http://${request.headers.host}/raw`
      response.end(request.url === "/raw" ? message : JSON.stringify({ raw: { download_url } }))
    })
    await new Promise<void>((resolve) => resend.listen(0, "127.0.0.1", resolve))
    const verification = await machineKey(keys.signing, "mach_1")
    proxy = createServer(createMachineProxy({ machine: "mach_1", keys: [verification] }).connection)
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    worker = new Miniflare(
      convertV4MiniflareOptions({
        cf: false,
        host: "127.0.0.1",
        modules: true,
        script: await bundleWorker(new URL("email-worker.ts", import.meta.url)),
        compatibilityDate: "2026-11-01",
        bindings: {
          RESEND: `http://localhost:${(resend.address() as AddressInfo).port}`,
          SIGNING_KEY: { ...keys.signing },
          PORT: port,
          MACHINE: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        },
        r2Buckets: ["MAIL"],
        unsafeTriggerHandlers: true,
      }),
    )
    await worker.ready
  }, 60_000)
  afterEach(async () => {
    await worker.dispose()
    app.close()
    app.closeAllConnections()
    proxy.close()
    resend.close()
    resend.closeAllConnections()
  })

  const send = async (to: string, text = message): Promise<number> => {
    const url = new URL("/cdn-cgi/local/email", await worker.ready)
    url.searchParams.set("from", "ann@example.com")
    url.searchParams.set("to", to)
    const response = await fetch(url, { method: "POST", body: `Message-ID: <1@example.com>\r\nTo: ${to}\r\n${text}` })
    await response.text()
    return response.status
  }
  const told = async () => (await (await worker.dispatchFetch("http://worker/")).json()) as { rejections: string[] }

  it("a mail arrives whole at the service of the project", async () => {
    expect(await send("anything@misha.iterate.app")).toBe(200)
    expect(received).toHaveLength(1)
    expect(received[0]!.text).toBe(`Message-ID: <1@example.com>\r\nTo: anything@misha.iterate.app\r\n${message}`)
    expect(received[0]!.headers).toMatchObject({
      "content-type": "message/rfc822",
      "x-iterate-mail-from": "ann@example.com",
      "x-iterate-mail-to": "anything@misha.iterate.app",
      "x-iterate-mail-via": "cloudflare",
      host: `localhost:${port}`,
    })
  }, 60_000)

  it("one that nobody takes is rejected with the reason", async () => {
    await send("a@nobody.iterate.app")
    status = 450
    await send("a@misha.iterate.app")
    await send("a@misha.iterate.app", message + "x".repeat(100_000))
    expect((await told()).rejections).toEqual([
      "there is no such address",
      "nobody reads this mailbox",
      "the message is larger than 100000 bytes",
    ])
  }, 60_000)

  it("one of Resend's webhook is fetched and reaches the app", async () => {
    const event = {
      type: "email.received",
      data: { email_id: "e1", from: "a@example.com", to: ["b@misha.iterate.app"] },
    }
    const body = JSON.stringify(event)
    const [id, at] = ["msg_1", new Date()]
    const headers = {
      "svix-id": id,
      "svix-timestamp": String(Math.floor(at.getTime() / 1000)),
      "svix-signature": new Webhook(btoa("x".repeat(32))).sign(id, at, body),
    }
    const response = await worker.dispatchFetch("http://worker/resend", { method: "POST", headers, body })
    expect([response.status, received.map(({ text }) => text)]).toEqual([200, [message]])
  }, 60_000)

  it("one for a machine that is down waits in the bucket until it is up", async () => {
    app.close()
    app.closeAllConnections()
    expect(await send("a@misha.iterate.app")).toBe(200)
    expect(await (await worker.dispatchFetch("http://worker/retry")).json()).toEqual({
      delivered: 0,
      rejected: 0,
      waiting: 1,
    })
    await new Promise<void>((resolve) => app.listen(port, "127.0.0.1", resolve))
    expect(await (await worker.dispatchFetch("http://worker/retry")).json()).toEqual({
      delivered: 1,
      rejected: 0,
      waiting: 0,
    })
    expect(received[0]!.text).toContain(message)
    const bucket = (await worker.getR2Bucket("MAIL")) as unknown as { list(): Promise<{ objects: readonly unknown[] }> }
    const { objects } = await bucket.list()
    expect(objects).toEqual([])
  }, 60_000)
})

describe("emailHandler", () => {
  it("throws for what nobody has yet, so that the sender's server tries again", async () => {
    const { router } = setup({ answer: () => stamped(null, { status: 503 }) })
    const handle = emailHandler(mailReceiver(router, { grammar: hostnames, service: 2525 }))
    const rejections: string[] = []
    const incoming = {
      from: "a@example.com",
      to: "a@misha.iterate.app",
      raw: new Blob([message]).stream(),
      rawSize: message.length,
      setReject: (reason: string) => rejections.push(reason),
    }
    await expect(handle(incoming)).rejects.toThrow("the mail was not delivered: the app responded 503")
    expect(rejections).toEqual([])
  })
})
