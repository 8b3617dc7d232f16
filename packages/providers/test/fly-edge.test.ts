import { defaultHeaderNames, generateTicketKeys, machineKey, signTicket } from "@project-ingress/forward"
import type { SigningKey, VerificationKey } from "@project-ingress/forward"
import { forwardFetch } from "@project-ingress/forward/fetch"
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions, MachineFetcher } from "../src/transport/machine-fetcher.ts"
import { encapsulateHeaders } from "../src/transport/request-headers.ts"
import { flyCloud } from "./fakes/fly-cloud.ts"
import type { FlyCloud } from "./fakes/fly-cloud.ts"
import { machineImage } from "./fakes/fly-machine.ts"
import type { MachineImage } from "./fakes/fly-machine.ts"
import { flyThrough, machineOf } from "./fly-through.ts"

const token = "fm2_canaryCANARYcanary"

let keys: { readonly signing: SigningKey; readonly verification: VerificationKey }
let cloud: FlyCloud
let images: MachineImage[]
beforeAll(async () => {
  keys = await generateTicketKeys("test")
})
beforeEach(async () => {
  cloud = await flyCloud("pets", { token })
  images = []
})
afterEach(async () => {
  await Promise.all([...images, cloud].map((each) => each.close()))
})

const sockets = new WebSocketServer({ noServer: true })

/** Runs a machine image for the platform's id, and tells the cloud of it under Fly's id. */
const boot = async (id: string, machine = `mach_${id}`) => {
  const image = await machineImage(
    { machine, keys: [await machineKey(keys.signing, machine)] },
    async (request, response) => {
      if (request.url === "/headers") response.end(JSON.stringify(request.headers))
      else if (request.url === "/missing") response.writeHead(404).end("the app's own")
      else if (request.url === "/down") response.writeHead(502).end("the app's own")
      else if (request.url === "/echo") request.pipe(response.writeHead(201))
      else response.end(`${id} says ${request.url}`)
    },
    (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (opened) => {
        opened.on("message", (data: Buffer) => opened.send(`${id} heard ${data.toString()}`))
      })
    },
  )
  images.push(image)
  return Object.assign(cloud.machine(id, image.port), { appPort: image.appPort })
}

const fetcherOf = (id: string, appPort: number, more: FetcherOptions = {}): MachineFetcher =>
  machineFetcher(flyThrough(cloud, token), machineOf(id), { port: appPort, signingKey: keys.signing, ...more })
const get = (path = "/", init?: RequestInit): Request => new Request(`https://misha.example.test${path}`, init)
/** The failure, after it was searched for the token through all its causes. */
const failure = async (asked: Promise<unknown>): Promise<unknown> => {
  const error = await asked.then(
    () => expect.unreachable("it succeeded"),
    (error: unknown) => error,
  )
  for (let at = error; at instanceof Error; at = at.cause) {
    expect(`${String(at)} ${at.stack} ${JSON.stringify(at)}`).not.toMatch(/canary/i)
  }
  return error
}

describe("through Fly's edge", () => {
  it("a machine's app answers, and the API is not asked", async () => {
    const a = await boot("m1")
    const b = await boot("m2")
    a.start()
    b.start()
    expect(await (await fetcherOf("m1", a.appPort)(get("/x?y=1"))).text()).toBe("m1 says /x?y=1")
    expect(await (await fetcherOf("m2", b.appPort)(get("/"))).text()).toBe("m2 says /")
    expect(cloud.asked).toEqual([])
  })

  it("the app's own failures are answers", async () => {
    const machine = await boot("m1")
    machine.start()
    for (const [path, status] of [
      ["/missing", 404],
      ["/down", 502],
    ] as const) {
      const answer = await fetcherOf("m1", machine.appPort)(get(path))
      expect([answer.status, await answer.text()]).toEqual([status, "the app's own"])
    }
  })

  it("bodies stream in both directions", async () => {
    const machine = await boot("m1")
    machine.start()
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
    const writer = writable.getWriter()
    const init = { method: "POST", body: readable, duplex: "half" } as RequestInit
    const answering = fetcherOf("m1", machine.appPort)(get("/echo", init))
    void writer.write(new TextEncoder().encode("first"))
    const answer = await answering
    expect(answer.status).toBe(201)
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader.read()).value).toBe("first")
    void writer.write(new TextEncoder().encode("second"))
    expect((await reader.read()).value).toBe("second")
    await writer.close()
    expect((await reader.read()).done).toBe(true)
  })

  it("a client gives the edge no command, and its headers reach the app", async () => {
    const mine = await boot("m1")
    const other = await boot("m2")
    mine.start()
    other.start()
    const headers = {
      "fly-force-instance-id": "m2",
      "fly-prefer-instance-id": "m2",
      "fly-force-region": "syd",
      "fly-prefer-region": "syd",
      "fly-replay-cache-control": "skip",
      "flyio-debug": "doit",
      "fly-client-ip": "10.0.0.1",
      "x-own": "1",
      authorization: "Bearer app",
    }
    const seen = (await (await fetcherOf("m1", mine.appPort)(get("/headers", { headers }))).json()) as object
    const commands = Object.entries(cloud.forwarded[0]!.headers).filter(([name]) =>
      /^fly-(?:force|prefer|replay)|^flyio/.test(name),
    )
    expect(commands).toEqual([["fly-force-instance-id", "m1"]])
    expect(seen).toMatchObject({
      "fly-force-instance-id": "m2",
      "fly-prefer-instance-id": "m2",
      "fly-client-ip": "127.0.0.1",
      "x-own": "1",
      authorization: "Bearer app",
    })
    expect(JSON.stringify(cloud.forwarded)).not.toMatch(/canary/i)
  })

  it("what the router says of the client reaches the app, not what the edge makes of it", async () => {
    const machine = await boot("m1")
    machine.start()
    const provider = flyThrough(cloud, token)
    const endpoint = await provider.resolve(machineOf("m1"), {
      port: machine.appPort,
      signal: AbortSignal.timeout(5_000),
    })
    const said = ["x-forwarded-for", "203.0.113.9", "x-forwarded-proto", "http", "x-forwarded-port", "80"]
    const hop = [defaultHeaderNames.targetHost, `localhost:${machine.appPort}`]
    const claims = { machine: "mach_m1", port: machine.appPort, name: "localhost" }
    const ticket = [defaultHeaderNames.ticket, await signTicket(keys.signing, claims)]
    const list = encapsulateHeaders(
      [...said, ...hop, ...ticket],
      provider.capabilities.interceptedHeaders,
      endpoint,
      defaultHeaderNames,
    )
    const { origin } = endpoint
    const answer = await forwardFetch({ origin, target: "/headers", method: "GET", headers: list, body: null })
    expect(await answer.json()).toMatchObject({
      "x-forwarded-for": "203.0.113.9",
      "x-forwarded-proto": "http",
      "x-forwarded-port": "80",
    })
  })

  it("a machine that has another's id at Fly never answers for it", async () => {
    const machine = await boot("m1", "mach_other")
    machine.start()
    expect(await failure(fetcherOf("m1", machine.appPort)(get()))).toMatchObject({ _tag: "MachineMismatch" })
  })
})

// What the edge says of a machine that it cannot reach was never recorded: none of this may depend on it.
describe.each([404, 502, 503, 504, 530])("when the edge answers %i by itself", (unrouted) => {
  beforeEach(() => {
    cloud.unrouted = unrouted
  })

  it("a machine that does not exist is not found, and nobody else answers", async () => {
    const other = await boot("m2")
    other.start()
    expect(await failure(fetcherOf("m1", other.appPort)(get()))).toMatchObject({ _tag: "MachineNotFound" })
    const gone = await boot("m3")
    gone.destroy()
    expect(await failure(fetcherOf("m3", gone.appPort)(get()))).toMatchObject({ _tag: "MachineNotFound" })
    expect(cloud.forwarded).toEqual([])
  })

  it("a stopped machine is not running", async () => {
    const machine = await boot("m1")
    const asked = fetcherOf("m1", machine.appPort, { wake: false })(get())
    expect(await failure(asked)).toMatchObject({ _tag: "MachineNotRunning", state: "stopped" })
  })

  it("a stopped machine is woken, once for all who ask", async () => {
    const machine = await boot("m1")
    const fetcher = fetcherOf("m1", machine.appPort)
    const answers = await Promise.all([fetcher(get()), fetcher(get()), fetcher(get())])
    expect(await Promise.all(answers.map((answer) => answer.text()))).toEqual(Array(3).fill("m1 says /"))
    expect(cloud.asked.filter(({ method }) => method === "POST").length).toBe(1)
  })

  it("a machine that boots is starting, and has a closed port when it is old", async () => {
    const machine = await boot("m1")
    machine.start()
    machine.booting(unrouted)
    expect(await failure(fetcherOf("m1", machine.appPort)(get()))).toMatchObject({ _tag: "MachineStarting" })
    machine.events.length = 0
    machine.start(3_600_000)
    expect(await failure(fetcherOf("m1", machine.appPort)(get()))).toMatchObject({ _tag: "PortClosed" })
    machine.booted()
    expect(await (await fetcherOf("m1", machine.appPort)(get())).text()).toBe("m1 says /")
  })

  it("what the API cannot say is said", async () => {
    const machine = await boot("m1")
    machine.rateLimit(0)
    const fetcher = fetcherOf("m1", machine.appPort)
    expect(await failure(fetcher(get()))).toMatchObject({ _tag: "ProviderRateLimited" })
    const denied = machineFetcher(flyThrough(cloud, "fm2_canary-wrong"), machineOf("m1"))
    expect(await failure(denied(get()))).toMatchObject({ _tag: "ProviderAuth" })
    cloud.next(500, { error: token })
    // Another fetcher: this one keeps what it was told for a moment.
    const other = fetcherOf("m1", machine.appPort)
    expect(await failure(other(get()))).toMatchObject({ _tag: "ProviderUnavailable", reason: "HTTP 500" })
  })
})
