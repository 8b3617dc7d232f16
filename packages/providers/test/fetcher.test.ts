import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, Server } from "node:http"
import type { AddressInfo } from "node:net"
import {
  errorResponse,
  defaultHeaderNames,
  generateTicketKeys,
  machineKey,
  ticketVerifier,
} from "@project-ingress/forward"
import { afterEach, beforeAll, describe, expect, it } from "vitest"
import type { MachinesEvent } from "../src/providers.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import { local } from "../src/adapters/local.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"

const servers = new Set<Server>()
const listen = async (handler: RequestListener, port = 0): Promise<Server & { readonly port: number }> => {
  const server = createServer(handler)
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  servers.add(server)
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}
const close = async (server: Server): Promise<void> => {
  servers.delete(server)
  server.closeAllConnections()
  server.close()
  await once(server, "close")
}
afterEach(async () => {
  await Promise.all([...servers].map(close))
})

const stamp = { [defaultHeaderNames.stamp]: "unproven" }
const machineAt = (port: number, more: Partial<Machine> = {}): Machine => ({
  id: "mach_a",
  type: "local",
  externalId: "a",
  metadata: { port },
  ...more,
})
/** A stranger's adapter that says what the test wants. */
const providerOf = (resolve: () => Partial<Endpoint>, interceptedHeaders: readonly string[] = []): MachineProvider => ({
  type: "local",
  capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders },
  resolve: () => Promise.resolve({ origin: "http://127.0.0.1:1", epoch: "1", ttlMs: 60_000, ...resolve() }),
})
const get = (path = "/", init?: RequestInit): Request => new Request(`https://app.example.test${path}`, init)

let keys: Awaited<ReturnType<typeof generateTicketKeys>>
beforeAll(async () => {
  keys = await generateTicketKeys("test")
})

describe("the wrong machine", () => {
  /** What the proxy of one machine does: answers for itself alone. */
  const proxyOf = (machine: string): RequestListener => {
    const accepted = machineKey(keys.signing, machine).then((key) => [key])
    return (request, response) => {
      void accepted.then(async (list) => {
        const verified = await ticketVerifier(
          () => list,
          machine,
        )(request.headers[defaultHeaderNames.ticket] as string | undefined)
        if (!("refusal" in verified)) {
          return response.writeHead(200, { [defaultHeaderNames.stamp]: verified.stamps!.response }).end(machine)
        }
        const row =
          verified.refusal === "wrong-machine"
            ? { status: 421, code: "MACHINE_MISMATCH", error: "destination_unavailable", title: "Wrong machine." }
            : { status: 401, code: "TICKET_INVALID", error: "http_request_denied", title: "Invalid ticket." }
        const answer = errorResponse(row, { headerNames: defaultHeaderNames, pseudonym: "test" })
        return response.writeHead(answer.status, [...answer.headers, ...Object.entries(stamp).flat()]).end(answer.body)
      })
    }
  }

  it("never answers for another at the same address", async () => {
    const a = await listen(proxyOf("mach_a"))
    const fetcher = machineFetcher(local(), machineAt(a.port), { signingKey: keys.signing })
    expect(await (await fetcher(get())).text()).toBe("mach_a")
    await close(a)
    await listen(proxyOf("mach_b"), a.port)
    await expect(fetcher(get())).rejects.toMatchObject({ _tag: "MachineMismatch", machine: "a" })
  })

  it("is left for the right one when that moved", async () => {
    let port: number
    const provider = providerOf(() => ({ origin: `http://127.0.0.1:${port}` }))
    const a = await listen(proxyOf("mach_a"))
    port = a.port
    const fetcher = machineFetcher(provider, machineAt(0), { signingKey: keys.signing })
    await fetcher(get())
    await close(a)
    await listen(proxyOf("mach_b"), a.port)
    port = (await listen(proxyOf("mach_a"))).port
    expect(await (await fetcher(get())).text()).toBe("mach_a")
  })
})

describe("a response to a request with a ticket", () => {
  const answering = async (value: string, options: Parameters<typeof machineFetcher>[2] = {}) => {
    const server = await listen((_, response) =>
      response.writeHead(200, { [defaultHeaderNames.stamp]: value }).end("a"),
    )
    const events: MachinesEvent[] = []
    const onEvent = (event: MachinesEvent) => void events.push(event)
    const fetcher = machineFetcher(local(), machineAt(server.port), { signingKey: keys.signing, onEvent, ...options })
    const failed = await fetcher(get()).then(
      () => undefined,
      (error: unknown) => error,
    )
    return { failed, events, fetcher }
  }

  it("with a wrong stamp is somebody else's, and an event", async () => {
    const { failed, events } = await answering("1")
    expect(failed).toMatchObject({ _tag: "ProviderUnavailable" })
    expect(events).toMatchObject([{ type: "proof", outcome: "wrong_stamp", machine: "mach_a", port: 3000 }])
  })

  it("causes no event for each request, however many there are: whoever sits there must not fill a log", async () => {
    const { events, fetcher } = await answering("1")
    const began = performance.now()
    for (let i = 0; i < 50; i++) await expect(fetcher(get())).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
    expect(events.length).toBeLessThan(2 + (performance.now() - began) / 1_000)
    expect(events[0]).toMatchObject({ count: 1 })
  })

  it("that says it proves nothing is refused with what to do, unless that is accepted", async () => {
    const { failed, events } = await answering("unproven")
    expect(failed).toMatchObject({ _tag: "MachineUnproven", message: expect.stringContaining("machineKey") })
    expect(events).toEqual([])
    expect((await answering("unproven", { unprovenMachines: true })).failed).toBeUndefined()
    expect((await answering("1", { unprovenMachines: true })).failed).toMatchObject({ _tag: "ProviderUnavailable" })
  })
})

describe("what the machine's proxy gets", () => {
  const seenBy = async (
    request: Request,
    options: Parameters<typeof machineFetcher>[2] = {},
    endpoint: Partial<Endpoint> = {},
    eaten: readonly string[] = [],
  ) => {
    let seen: Pick<IncomingMessage, "method" | "url" | "headers"> | undefined
    const server = await listen((request, response) => {
      seen = request
      response.writeHead(200, stamp).end()
    })
    const provider = providerOf(() => ({ origin: `http://127.0.0.1:${server.port}`, ...endpoint }), eaten)
    await machineFetcher(provider, machineAt(0), options)(request)
    return seen as { readonly method: string; readonly url: string; readonly headers: IncomingHttpHeaders }
  }

  it("is the target, the ticket and the way it came, and no client's copy of them", async () => {
    const headers = {
      [defaultHeaderNames.targetHost]: "localhost:22",
      [defaultHeaderNames.ticket]: "forged",
      "x-forwarded-for": "10.0.0.1",
      "x-own": "1",
      connection: "x-own",
    }
    const seen = await seenBy(get("/a%2fb?c=%20", { headers }), {
      port: 4096,
      signingKey: keys.signing,
      unprovenMachines: true,
    })
    expect(seen.url).toBe("/a%2fb?c=%20")
    expect(seen.headers[defaultHeaderNames.targetHost]).toBe("localhost:4096")
    expect(seen.headers["x-forwarded-host"]).toBe("app.example.test")
    const accepted = [keys.verification]
    const verify = ticketVerifier(() => accepted, "mach_a")
    expect(await verify(seen.headers[defaultHeaderNames.ticket] as string)).toMatchObject({
      port: 4096,
      name: "localhost",
    })
    expect(seen.headers["via"]).toBe("1.1 project-ingress")
    expect(seen.headers["x-forwarded-for"]).toBeUndefined()
  })

  it.each(["http://localhost:9/", "http://127.0.0.1:9/", "http://[::1]:9/"])(
    "is a port when %s names nobody",
    async (url) => {
      const seen = await seenBy(new Request(url))
      expect(seen.headers[defaultHeaderNames.targetHost]).toBe("localhost:3000")
    },
  )

  it("is what its provider's edge wants, and what that edge would eat under another name", async () => {
    const headers = { authorization: "Bearer app", "x-edge": "client", "x-other": "1" }
    const seen = await seenBy(get("/", { headers }), {}, { headers: { "X-Edge": "token" } }, ["authorization"])
    expect(seen.headers).toMatchObject({
      [`${defaultHeaderNames.tunnel}authorization`]: "Bearer app",
      "x-edge": "token",
      "x-other": "1",
    })
    expect(seen.headers.authorization).toBeUndefined()
  })
})

describe("a fetcher", () => {
  it("gives the app's answer as it is, redirects and failures too", async () => {
    const { port } = await listen((request, response) => {
      if (request.url === "/moved") response.writeHead(302, { ...stamp, location: "/x" }).end()
      else response.writeHead(503, { ...stamp, "set-cookie": ["a=1", "b=2"] }).end("app down")
    })
    const fetcher = machineFetcher(local(), machineAt(port))
    const moved = await fetcher(get("/moved"))
    expect([moved.status, moved.headers.get("location")]).toEqual([302, "/x"])
    const down = await fetcher(get("/"))
    expect([down.status, down.headers.getSetCookie(), await down.text()]).toEqual([503, ["a=1", "b=2"], "app down"])
  })

  it("gives what the app said about caching, which the machine's proxy hides from caches on the way", async () => {
    const { tunnel } = defaultHeaderNames
    const fields: Record<string, Record<string, string>> = {
      "/says": { [`${tunnel}cache-control`]: "public, max-age=9", [`${tunnel}cdn-cache-control`]: "max-age=3" },
      "/silent": { [`${tunnel}cache-control`]: "" },
    }
    const { port } = await listen((request, response) => {
      response.writeHead(200, { ...stamp, "cache-control": "private, no-store", ...fields[request.url!] }).end("body")
    })
    const fetcher = machineFetcher(local(), machineAt(port))
    const about = async (path: string) => {
      const response = await fetcher(get(path))
      expect(await response.text()).toBe("body")
      return [...response.headers].filter(([name]) => name.includes("cache-control"))
    }
    expect(await about("/says")).toEqual([
      ["cache-control", "public, max-age=9"],
      ["cdn-cache-control", "max-age=3"],
    ])
    expect(await about("/silent")).toEqual([])
    // Of the proxy's own, which hides nothing.
    expect(await about("/own")).toEqual([["cache-control", "private, no-store"]])
  })

  it("rejects with a typed error when it was not the machine's proxy that answered", async () => {
    const { port } = await listen((_, response) => response.end("some other server"))
    await expect(machineFetcher(local(), machineAt(port))(get())).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
  })

  it("streams a body, and sends it once", async () => {
    let posts = 0
    const { port } = await listen((request, response) => {
      posts++
      if (request.url === "/reset") request.once("data", () => request.socket.resetAndDestroy())
      else {
        response.writeHead(200, stamp)
        request.pipe(response)
      }
    })
    const fetcher = machineFetcher(local(), machineAt(port))
    const post = (path: string): Request => get(path, { method: "POST", body: "hello" })
    expect(await (await fetcher(post("/"))).text()).toBe("hello")
    posts = 0
    await expect(fetcher(post("/reset"))).rejects.toMatchObject({ _tag: "UpstreamFailed" })
    expect(posts).toBe(1)
  })

  it("sends a body that nobody took to where the machine is now", async () => {
    let port = 1
    const provider = providerOf(() => ({ origin: `http://127.0.0.1:${port}` }))
    const fetcher = machineFetcher(provider, machineAt(0))
    await expect(fetcher(get())).rejects.toMatchObject({ _tag: "PortClosed" })
    const { port: real } = await listen((request, response) => {
      response.writeHead(200, stamp)
      request.pipe(response)
    })
    port = real
    expect(await (await fetcher(get("/", { method: "POST", body: "hello" }))).text()).toBe("hello")
  })

  it("waits for a head as long as it is told", async () => {
    const { port } = await listen((request, response) => {
      if (request.url === "/") response.writeHead(200, stamp).end()
    })
    const fetcher = machineFetcher(local(), machineAt(port), { headersTimeoutMs: 500 })
    // The connection is there, so that the time goes by while the app is silent.
    await (await fetcher(get())).text()
    await expect(fetcher(get("/never"))).rejects.toMatchObject({ _tag: "UpstreamTimeout" })
  })

  it("ends with its request's signal, before the head and after it", async () => {
    const { port } = await listen((request, response) => {
      if (request.url === "/slow") response.writeHead(200, stamp).write("first")
    })
    const fetcher = machineFetcher(local(), machineAt(port))
    const before = new AbortController()
    const waiting = fetcher(get("/never", { signal: before.signal }))
    setTimeout(() => before.abort(new Error("left")), 20)
    await expect(waiting).rejects.toThrow("left")
    const after = new AbortController()
    const answer = await fetcher(get("/slow", { signal: after.signal }))
    after.abort(new Error("left"))
    await expect(answer.text()).rejects.toThrow("left")
  })

  it("cannot answer a WebSocket handshake outside Workers, and says so", async () => {
    const headers = { connection: "upgrade", upgrade: "websocket" }
    const fetcher = machineFetcher(local(), machineAt(1))
    await expect(fetcher(get("/", { headers }))).rejects.toMatchObject({ reason: "unsupported" })
  })
})

describe("local", () => {
  const origin = async (metadata: Machine["metadata"]) =>
    (await local().resolve(machineAt(0, { metadata }), { port: 3000, signal: new AbortController().signal })).origin

  it.each([
    [{ port: 8080 }, "http://127.0.0.1:8080"],
    [{ port: 8080, host: "devbox.lan" }, "http://devbox.lan:8080"],
    [{ port: 8080, host: "::1" }, "http://[::1]:8080"],
  ])("is at %j", async (metadata, expected) => {
    expect(await origin(metadata)).toBe(expected)
  })

  it.each([
    [{}, "port"],
    [{ port: 0 }, "port"],
    [{ port: 65_536 }, "port"],
    [{ port: "8080" }, "port"],
    [{ port: 8080.5 }, "port"],
    [{ port: 8080, host: "" }, "host"],
    [{ port: 8080, host: "user@host" }, "host"],
    [{ port: 8080, host: "host/path" }, "host"],
    [{ port: 8080, epoch: 1 }, "epoch"],
  ])("names the field of %j that is wrong", async (metadata, field) => {
    await expect(origin(metadata)).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field })
  })
})
