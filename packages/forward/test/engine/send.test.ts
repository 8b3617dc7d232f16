import { describe, expect, it } from "vitest"
import type { GeneratedResponse } from "../../src/forward.ts"
import type { Decision, IncomingRequest, SendResult, UpstreamAddress } from "../../src/sockets.ts"
import * as h from "./harness.ts"

const own: GeneratedResponse = { status: 418, headers: [], body: "own" }

/** A gate that a test opens. */
const gate = <A = void>() => {
  let open!: (value: A) => void
  const opened = new Promise<A>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const post = (more = "") => `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${more}\r\n`

describe("a host that sends before it decides", () => {
  it("passes the response on, of which nothing reaches the client before", async () => {
    const decided = gate()
    const app = await h.respondingApp(
      "HTTP/1.1 201 Made\r\nX-App: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    const results: SendResult[] = []
    const held = gate()
    const front = await h.listen(async (request): Promise<Decision> => {
      results.push(await request.send(h.to(app.port)))
      held.open()
      await decided.opened
      return "relay"
    })
    const client = await front.connect()
    client.send(h.get())
    await held.opened
    expect(results).toMatchObject([{ head: { status: 201, headers: ["X-App", "1", "Transfer-Encoding", "chunked"] } }])
    // Another exchange meanwhile: what could have been written to the client has been.
    const other = await front.connect()
    other.send("BAD\r\n\r\n")
    await other.over()
    expect(client.text).toBe("")
    decided.open()
    expect(await client.until("0\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 201 Made\r\nX-App: 1\r\n[^]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/,
    )
    await h.eventually(() => front.events.some((event) => event.type === "request"))
    expect(front.events).toContainEqual(
      expect.objectContaining({ type: "request", status: 201, complete: true, bytesOut: 5 }),
    )
  })

  it("gives nothing that came behind the response, while it decided, to the next request", async () => {
    const decided = gate()
    const held = gate()
    const apps = await h.listenApp()
    const front = await h.listen((request): Decision | Promise<Decision> => {
      if (request.head.target !== "/first") return h.to(apps.port)
      const decide = async (): Promise<Decision> => {
        await request.send(h.to(apps.port))
        held.open()
        await decided.opened
        return "relay"
      }
      return decide()
    })
    const client = await front.connect()
    client.send(h.get("/first") + h.get("/next"))
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
    await held.opened
    // The first that comes stops the reading, and what comes then waits in the socket's own buffer.
    app.send("own")
    await h.settled(front)
    app.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")
    await h.settled(front)
    decided.open()
    const second = await Promise.race([apps.connection(1), client.until("smuggled")])
    expect(second).toBeInstanceOf(h.Raw)
    await (second as h.Raw).until("GET /next")
    ;(second as h.Raw).send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
    expect(await client.until("next")).not.toContain("smuggled")
  })

  it("passes a WebSocket on", async () => {
    const apps = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      const sent = await request.send(h.asSent(request, apps.port))
      return "head" in sent && sent.head.status === 101 ? "relay" : own
    })
    const client = await front.connect()
    client.send(`${h.handshake()}early`)
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send(`${h.switching}first`)
    expect(await client.until("first")).toMatch(/^HTTP\/1\.1 101 /)
    expect(await app.until("early")).toBe("early")
  })

  it("responds by itself, and the app's response is thrown away with its connection", async () => {
    const app = await h.respondingApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.to(app.port))
      return own
    })
    const client = await front.connect()
    client.send(h.get())
    expect(await client.until("own")).toMatch(/^HTTP\/1\.1 418 /)
    await app.connections[0]!.over()
    client.send(h.get())
    await client.until("own")
    expect(app.connections).toHaveLength(2)
  })

  it("sends once more, elsewhere, and the first response is thrown away", async () => {
    const [one, two] = [
      await h.respondingApp("HTTP/1.1 421 M\r\nContent-Length: 3\r\n\r\none"),
      await h.respondingApp(),
    ]
    const front = await h.listen(async (request): Promise<Decision> => {
      const first = await request.send(h.to(one.port))
      if ("head" in first && first.head.status === 421 && request.replayable) await request.send(h.to(two.port))
      return "relay"
    })
    const client = await front.connect()
    client.send(h.get())
    expect(await client.until("ok")).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nok$/)
    await one.connections[0]!.over()
    expect(two.connections[0]!.state).toBe("open")
  })

  it("hears why no response came, and whether the request can have reached an app", async () => {
    const closed = await h.listenApp((raw) => raw.socket.destroy())
    const free = await h.listenApp()
    const results: SendResult[] = []
    const front = await h.listen(async (request): Promise<Decision> => {
      results.push(await request.send(h.to(closed.port)))
      // Nobody listens on port 1.
      results.push(await request.send(h.to(1)))
      return h.to(free.port)
    })
    const client = await front.connect()
    client.send(h.get())
    const app = await free.connection(0)
    await app.until("\r\n\r\n")
    app.send("HTTP/1.1 204 N\r\n\r\n")
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
    expect(results).toMatchObject([
      { error: { tag: "UpstreamFailed", sent: "maybe" } },
      { error: { tag: "PortClosed", sent: "no" } },
    ])
    // A failure that the host has heard of is its own affair.
    expect(front.events.filter(({ type }) => type === "error")).toEqual([])
  })

  it("hears that a response is no HTTP, and that none came in time", async () => {
    h.holdTime()
    const results: SendResult[] = []
    const broken = await h.respondingApp("SSH-2.0\r\n\r\n")
    const silent = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      results.push(await request.send(h.to(broken.port)))
      results.push(await request.send(h.to(silent.port, { headersTimeoutMs: 1_000 })))
      return own
    })
    const client = await front.connect()
    client.send(h.get())
    await (await silent.connection(0)).until("\r\n\r\n")
    h.passes(1_000 + h.SCANS_MS)
    await client.until("own")
    expect(results).toMatchObject([
      { error: { tag: "UpstreamMalformed", sent: "maybe" } },
      { error: { tag: "UpstreamTimeout", sent: "maybe" } },
    ])
  })

  it("has no time-out while it decides", async () => {
    h.holdTime()
    const decided = gate()
    const held = gate()
    const app = await h.respondingApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.to(app.port, { headersTimeoutMs: 1_000 }))
      held.open()
      await decided.opened
      return "relay"
    })
    const client = await front.connect()
    client.send(h.get())
    await held.opened
    h.passes(3_600_000)
    decided.open()
    expect(h.status(await client.until("ok"))).toBe(200)
  })
})

describe("a request's body", () => {
  it("is not read while the host decides about an early response, and goes on after it", async () => {
    const decided = gate<Decision>()
    const held = gate()
    const apps = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.asSent(request, apps.port))
      held.open()
      return decided.opened
    })
    const client = await front.connect()
    client.send(post())
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await held.opened
    client.send("3\r\nabc\r\n0\r\n\r\n")
    decided.open("relay")
    await app.until("0\r\n\r\n")
    app.send("0\r\n\r\n")
    expect(h.status(await client.until("0\r\n\r\n"))).toBe(200)
  })

  it("that comes while the host decides is kept for the next machine", async () => {
    const held = gate<IncomingRequest>()
    const decided = gate()
    const [one, two] = [await h.listenApp(), await h.listenApp()]
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.asSent(request, one.port))
      held.open(request)
      await decided.opened
      return h.asSent(request, two.port)
    })
    const client = await front.connect()
    client.send(post())
    const first = await one.connection(0)
    await first.until("\r\n\r\n")
    first.send("HTTP/1.1 421 M\r\nContent-Length: 0\r\n\r\n")
    const request = await held.opened
    client.send("3\r\nabc\r\n0\r\n\r\n")
    const other = await front.connect()
    other.send("BAD\r\n\r\n")
    await other.over()
    expect(request.replayable).toBe(true)
    decided.open()
    const second = await two.connection(0)
    expect(await second.until("0\r\n\r\n")).toContain("3\r\nabc\r\n0")
    expect(first.text).toBe("")
  })

  it("that was passed on makes a request not replayable: it cannot be sent again", async () => {
    const seen: (boolean | string)[] = []
    const app = await h.listenApp((raw) => void raw.until("abc").then(() => raw.socket.destroy()))
    const front = await h.listen(async (request): Promise<Decision> => {
      seen.push(request.replayable)
      await request.send(h.asSent(request, app.port))
      seen.push(request.replayable)
      await request.send(h.asSent(request, app.port)).catch((error: Error) => seen.push(error.message))
      return own
    })
    const client = await front.connect()
    client.send(`${post()}3\r\nabc\r\n0\r\n\r\n`)
    await client.until("own")
    expect(seen).toEqual([true, false, "a request whose body was passed on or taken cannot be sent again"])
    expect(app.connections).toHaveLength(1)
  })

  it("that was taken makes a request not replayable: it cannot be sent at all", async () => {
    const seen: (boolean | string)[] = []
    const front = await h.listen(async (request): Promise<Decision> => {
      request.body()
      seen.push(request.replayable)
      await request.send(h.to(1)).catch((error: Error) => seen.push(error.message))
      return h.to(1)
    })
    const client = await front.connect()
    client.send(`${post()}3\r\nabc\r\n0\r\n\r\n`)
    expect(await client.until("PROXY_FAILED")).toMatch(/^HTTP\/1\.1 500 /)
    expect(seen).toEqual([false, "a request whose body was passed on or taken cannot be sent again"])
  })

  it("that there is none leaves a request replayable, also after it was asked for", async () => {
    const app = await h.respondingApp()
    const front = await h.listen((request) => {
      expect(request.body()).toBeNull()
      expect(request.replayable).toBe(true)
      return h.to(app.port)
    })
    const client = await front.connect()
    client.send(h.get())
    expect(h.status(await client.until("ok"))).toBe(200)
  })

  it("cannot be taken after it was sent on", async () => {
    const app = await h.listenApp((raw) => void raw.until("abc").then(() => raw.socket.destroy()))
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.asSent(request, app.port))
      const reason = await request
        .body()!
        .getReader()
        .read()
        .then(
          () => "read",
          (error: Error) => error.message,
        )
      return { ...own, body: reason }
    })
    const client = await front.connect()
    client.send(`${post()}3\r\nabc\r\n0\r\n\r\n`)
    expect(await client.until("the body was sent on")).toMatch(/^HTTP\/1\.1 418 /)
  })

  it("that is too slow ends the exchange by the engine: the send ends, and the decision is ignored", async () => {
    h.holdTime()
    const result = gate<SendResult>()
    const apps = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      result.open(await request.send(h.asSent(request, apps.port)))
      return own
    })
    const client = await front.connect()
    client.send(post())
    await (await apps.connection(0)).until("\r\n\r\n")
    h.passes(60_000 + h.SCANS_MS)
    expect(await result.opened).toMatchObject({ ended: { status: 408, code: "REQUEST_TIMEOUT" } })
    await client.over()
    expect(client.text).toMatch(/^HTTP\/1\.1 408 /)
    expect(client.text).not.toContain("418")
  })
})

describe("a response that the engine makes by itself is what a send resolves with, and no failure of the app", () => {
  const sendOnce = async (options: Parameters<typeof h.listen>[1] = {}) => {
    const result = gate<SendResult>()
    const apps = await h.listenApp()
    const again: SendResult[] = []
    const front = await h.listen(async (request): Promise<Decision> => {
      const sent = await request.send(h.asSent(request, apps.port))
      again.push(await request.send(h.asSent(request, apps.port)))
      result.open(sent)
      return own
    }, options)
    return { apps, front, result: result.opened, again }
  }

  it("when its pool is full", async () => {
    const { apps, front, result, again } = await sendOnce({ limits: { maxConnectionsPerPool: 1 } })
    const first = await front.connect()
    first.send(h.get())
    await (await apps.connection(0)).until("\r\n\r\n")
    const client = await front.connect()
    client.send(h.get())
    expect(h.status(await client.until("OVERLOADED"))).toBe(503)
    expect(await result).toMatchObject({ ended: { status: 503, code: "OVERLOADED" } })
    expect(again).toEqual([await result])
    expect(apps.connections).toHaveLength(1)
  })

  it("when a body is invalid, before or after a part of it was sent on", async () => {
    for (const [body, sent] of [
      ["zz\r\n", ""],
      ["3\r\nabc\r\n", "zz\r\n"],
    ]) {
      const { apps, front, result } = await sendOnce()
      const client = await front.connect()
      client.send(`${post()}${body}`)
      if (sent !== "") {
        await (await apps.connection(0)).until("abc")
        client.send(sent!)
      }
      expect(h.status(await client.until("REQUEST_MALFORMED"))).toBe(400)
      expect(await result).toMatchObject({ ended: { status: 400, code: "REQUEST_MALFORMED" } })
    }
  })

  it("when an OPTIONS request may go no further", async () => {
    const { apps, front, result } = await sendOnce()
    const client = await front.connect()
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
    expect(h.status(await client.until("\r\n\r\n"))).toBe(204)
    expect(await result).toMatchObject({ ended: { status: 204 } })
    expect(apps.connections).toHaveLength(0)
  })
})

describe("a client that leaves", () => {
  it("while a send waits ends it, and the request's signal is aborted", async () => {
    const result = gate<SendResult>()
    const requests: IncomingRequest[] = []
    const apps = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      requests.push(request)
      void request.signal
      result.open(await request.send(h.to(apps.port)))
      return "relay"
    })
    const client = await front.connect()
    client.send(h.get())
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    client.socket.destroy()
    expect(await result.opened).toMatchObject({ error: { tag: "UpstreamFailed", sent: "maybe" } })
    expect(requests[0]!.signal.aborted).toBe(true)
    await requests[0]!.over()
    await app.over()
    expect(await requests[0]!.send(h.to(apps.port))).toMatchObject({ error: { tag: "UpstreamFailed" } })
    expect(apps.connections).toHaveLength(1)
    expect(front.events).toMatchObject([{ type: "request", status: 499, complete: false }])
  })

  it("while the host decides takes the app's response with it", async () => {
    const decided = gate<Decision>()
    const held = gate()
    const apps = await h.respondingApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.to(apps.port))
      held.open()
      return decided.opened
    })
    const client = await front.connect()
    client.send(h.get())
    await held.opened
    client.socket.destroy()
    await apps.connections[0]!.over()
    decided.open("relay")
    await h.eventually(() => front.events.length === 1)
    expect(front.events).toMatchObject([{ type: "request", status: 499, complete: false }])
  })
})

describe("a connection to the app that closes while the host decides", () => {
  const decide = async (response: string, end: (raw: h.Raw) => unknown) => {
    const decided = gate<Decision>()
    const held = gate()
    const apps = await h.listenApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      await request.send(h.to(apps.port))
      held.open()
      return decided.opened
    })
    const client = await front.connect()
    client.send(h.get())
    const app = await apps.connection(0)
    await app.until("\r\n\r\n")
    app.send(response)
    await held.opened
    await end(app)
    decided.open("relay")
    return client
  }

  it("leaves a complete response complete", async () => {
    const client = await decide(
      "HTTP/1.1 200 OK\r\n\r\nok",
      (app) => new Promise<void>((resolve) => app.socket.end(resolve)),
    )
    expect(await client.until("ok")).toMatch(/^HTTP\/1\.1 200 /)
  })

  it("makes an incomplete one look broken", async () => {
    const client = await decide("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", (app) => app.socket.resetAndDestroy())
    expect((await client.over()).state).toBe("reset")
  })
})

describe("a host that makes a mistake", () => {
  it.each<[string, (request: IncomingRequest) => unknown, string]>([
    ["relays without a response", () => "relay", "there is no response to relay"],
    [
      "relays after a failure",
      async (request) => (await request.send(h.to(1)), "relay"),
      "there is no response to relay",
    ],
    ["decides nothing", () => undefined, "onRequest gave no decision"],
    ["decides nothing later", async () => null, "onRequest gave no decision"],
    ["throws", () => Promise.reject(new Error("mine")), "mine"],
  ])("that %s gets a 500 and hears of it", async (_name, onRequest, message) => {
    const front = await h.listen(onRequest as (request: IncomingRequest) => Decision)
    const client = await front.connect()
    client.send(h.get())
    expect(await client.until("PROXY_FAILED")).toMatch(/^HTTP\/1\.1 500 /)
    expect(front.events).toMatchObject([{ type: "error", tag: "ProxyFailed", cause: { message } }, { status: 500 }])
  })

  it("that sends twice at a time is refused the second", async () => {
    const app = await h.respondingApp()
    const front = await h.listen(async (request): Promise<Decision> => {
      const first = request.send(h.to(app.port))
      await expect(request.send(h.to(app.port))).rejects.toThrow("a request can be sent once at a time")
      await first
      return "relay"
    })
    const client = await front.connect()
    client.send(h.get())
    expect(h.status(await client.until("ok"))).toBe(200)
    expect(app.connections).toHaveLength(1)
  })

  it.each<[string, Partial<UpstreamAddress>]>([
    ["a port", { port: 70_000 }],
    ["a range of addresses", { addresses: { allowCidrs: ["10.0.0.0/99"] } }],
  ])("that sends to an address with an invalid part, %s, is refused it and can still respond", async (_part, wrong) => {
    const app = await h.respondingApp()
    const right = { pool: "one", host: "127.0.0.1", port: app.port }
    const front = await h.listen(
      async (request) => {
        const refused = await request.send(h.to(0, { origin: { ...right, ...wrong } })).catch(() => "refused")
        expect(refused).toBe("refused")
        return h.to(0, { origin: right })
      },
      { limits: { maxConnectionsPerPool: 1 } },
    )
    const client = await front.connect()
    for (let request = 0; request < 2; request++) {
      client.send(h.get())
      expect(h.status(await client.until("ok"))).toBe(200)
    }
  })
})
