/** A client that sends its FIN: it has left, as nearly all have that do, or it only sends nothing more. */
import { describe, expect, it } from "vitest"
import * as h from "./harness.ts"

/** As much as an app waits at most: what the engine waits for, and one scan of the deadlines. */
const HEARD_MS = 100

const begin = async (request: string) => {
  h.holdTime()
  const apps = await h.listenApp()
  const front = await h.listen((incoming) => h.asSent(incoming, apps.port))
  const client = await front.connect()
  client.send(request)
  const app = await apps.connection(0)
  await app.until("\r\n\r\n")
  return { client, app, front }
}
const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/** The engine has read the client's FIN: it came before this one, whose connection the engine has ended by then. */
const finArrives = async (front: h.Front, client: h.Raw): Promise<void> => {
  client.socket.end()
  await new Promise<void>((resolve) => client.socket.once("finish", () => resolve()))
  const other = await front.connect()
  other.send("BAD\r\n\r\n")
  await other.over()
}

describe("a client that sends its FIN", () => {
  it("before a response has begun ends the request to the app within 100 ms", async () => {
    const { client, app, front } = await begin(h.get())
    await finArrives(front, client)
    expect(app.state).toBe("open")
    h.passes(HEARD_MS)
    await app.over()
    await h.eventually(() => front.events.length === 2)
    expect(front.events[1]).toMatchObject({ type: "request", status: 499, complete: false })
  })

  it("during a quiet stream ends the stream within 100 ms, and half of it does not look whole", async () => {
    const { client, app, front } = await begin(h.get())
    app.send(`${chunked}5\r\nhello\r\n`)
    await client.until("hello")
    await finArrives(front, client)
    h.passes(HEARD_MS)
    await app.over()
    await client.over()
    expect([client.text, client.state]).toEqual(["", "reset"])
  })

  it("gets a response that takes longer, as long as bytes of it come", async () => {
    const { client, app, front } = await begin(h.get())
    await finArrives(front, client)
    app.send(chunked)
    await client.until("\r\n\r\n")
    for (let piece = 0; piece < 20; piece++) {
      h.passes(30)
      app.send("1\r\nx\r\n")
      await client.until("x\r\n")
    }
    app.send("0\r\n\r\n")
    expect(await client.until("0\r\n\r\n")).toBe("0\r\n\r\n")
  })
})
