/**
 * Fly as far as an adapter can see it, on real sockets: the Machines API with its states, leases and rate limits, and the
 * edge, which sends a request to the machine that `fly-force-instance-id` names. Every deviation is a switch. What was never
 * recorded of the real one (see F13 to F16) is chosen by the test, and no test may depend on the choice.
 */
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { Onward, Said } from "./http.ts"

export interface FlyCloudOptions {
  readonly token: string
  /** Milliseconds since 1970, for the rate limits. Default: a clock that stands still. */
  readonly now?: () => number
}

export interface FlyMachine {
  readonly id: string
  state: string
  hostStatus: "ok" | "unknown" | "unreachable"
  /** Where its proxy listens on this host. */
  port: number
  readonly events: { type: string; status: string; source: string; timestamp: number }[]
  /** Told when it starts, by whomever. */
  onStart: () => void
  /** How long it is `starting` after `POST …/start`, in ms. 0. */
  bootMs: number
  /** Starts at once, as `POST …/start` does. */
  start(agoMs?: number): void
  stop(): void
  destroy(): void
  /** Until `booted`, the edge answers this without asking the machine (F13). */
  booting(status: number): void
  booted(): void
  /** Somebody else holds it: every change is refused (F09). */
  lease(owner: string): void
  /** The next start finds no room (F10). */
  capacity(status: 409 | 412): void
  /** The next start is refused with this text, or with a code and a text (F04, F05). */
  refuse(status: number, error: string, message?: string): void
  /** That many questions are answered at once, the next ones are not. */
  rateLimit(burst: number, retryAfter?: string): void
}

export interface FlyCloud {
  /** With its version, as the adapter's option. */
  readonly apiBase: string
  readonly apiOrigin: string
  readonly edgeOrigin: string
  /** What the API was asked: method, path and authorization. */
  readonly asked: { readonly method: string; readonly path: string; readonly authorization: string }[]
  /** What the edge sent on. */
  readonly forwarded: { readonly machine: string; readonly headers: IncomingMessage["headers"] }[]
  /** Makes it, or finds it. Stopped at first. */
  machine(id: string, port?: number): FlyMachine
  /** The next answer of the API, whatever is asked. */
  next(status: number, body?: unknown, headers?: Readonly<Record<string, string>>): void
  /** Answers everything that the API is asked until it is called without a status. */
  always(status?: number, body?: unknown): void
  /** Questions to the API are never answered, until it is called with false. */
  hang(hanging?: boolean): void
  /** What the edge answers for a machine that it cannot send to. */
  unrouted: number
  close(): Promise<void>
}

const edgeHeaders = (): Record<string, string> => ({
  server: "Fly/6dbc66600 (2025-03-04)",
  via: "1.1 fly.io",
  "fly-request-id": "01JNRQ9VVKJ7HZFMJWJB3M3RYN-yyz",
})

export const flyCloud = async (app: string, options: FlyCloudOptions): Promise<FlyCloud> => {
  const { token, now = () => 0 } = options
  const machines = new Map<string, Machine>()
  const asked: { method: string; path: string; authorization: string }[] = []
  const forwarded: { machine: string; headers: IncomingMessage["headers"] }[] = []
  const next: Scripted[] = []
  let always: Scripted | undefined
  let hanging = false

  const api = await listen(async (request, response) => {
    const { method = "", url = "", headers } = request
    const { authorization = "" } = headers
    asked.push({ method, path: url, authorization })
    if (hanging) return
    const reply = (status: number, body?: unknown, more: Readonly<Record<string, string>> = {}): void =>
      answer(response, status, body, { ...edgeHeaders(), ...more })
    const scripted = next.shift() ?? always
    if (scripted !== undefined) return reply(scripted.status, scripted.body, scripted.headers)
    // F02
    if (authorization !== `${/^fm(?:1r|1a|2)_/.test(token) ? "FlyV1" : "Bearer"} ${token}`) {
      return reply(401, { error: "Authenticate: token validation error" })
    }
    const found = /^\/v1\/apps\/([^/?]+)\/machines\/([^/?]+)(?:\/(start|wait|lease))?(?:\?(.*))?$/.exec(url)
    const machine = found?.[1] === app ? machines.get(found[2]!) : undefined
    // F16: the text was never recorded.
    if (found === null || machine === undefined) return reply(404, { error: "" })
    if (!machine.allowed(found[3] ?? "get", now())) {
      return reply(429, undefined, machine.retryAfter === undefined ? {} : { "retry-after": machine.retryAfter })
    }
    const operation = `${method} ${found[3] ?? ""}`
    if (operation === "GET ") return reply(200, machine.body(app))
    if (operation === "POST start") return reply(...machine.tryStart(headers["fly-machine-lease-nonce"]))
    if (operation === "GET wait") {
      await machine.boot
      return reply(...machine.wait(new URLSearchParams(found[4])))
    }
    if (operation === "POST lease") return reply(...machine.take(now()))
    return reply(405)
  })

  const edge = await listen(
    (request, response) => {
      const machine = route(request)
      if (typeof machine === "number") answer(response, machine, undefined, edgeHeaders())
      else sendOn(request, response, onward(request, machine))
    },
    (request, socket, head) => {
      const machine = route(request)
      if (typeof machine === "number") refuse(socket, itself(machine))
      else upgradeOn(request, socket, head, onward(request, machine))
    },
  )

  /** The machine to send to, or the status that the edge answers itself. Never starts one: autostart is off. */
  const route = (request: IncomingMessage): Machine | number => {
    const forced = request.headers["fly-force-instance-id"]
    const preferred = request.headers["fly-prefer-instance-id"]
    const running = [...machines.values()].filter(({ state }) => state === "started")
    const wanted = typeof forced === "string" ? forced : preferred
    const found = running.find(({ id }) => id === wanted) ?? (forced === undefined ? running[0] : undefined)
    return found === undefined ? cloud.unrouted : (found.edgeStatus ?? found)
  }

  const onward = (request: IncomingMessage, machine: Machine): Onward => {
    const { ...headers } = request.headers
    const before = headers["x-forwarded-for"]
    const sent = {
      ...(headers as Record<string, string | string[]>),
      "fly-client-ip": "127.0.0.1",
      "fly-forwarded-port": "443",
      "x-forwarded-for": `${before === undefined ? "" : `${String(before)}, `}127.0.0.1, 192.0.2.9`,
      "x-forwarded-proto": "https",
      "x-forwarded-port": "443",
      "x-forwarded-ssl": "on",
      via: [headers.via, "1.1 fly.io"].filter((part) => part !== undefined).join(", "),
    }
    forwarded.push({ machine: machine.id, headers: sent })
    return { port: machine.port, headers: sent, adds: edgeHeaders(), unreached: () => itself(cloud.unrouted) }
  }
  const itself = (status: number): Said => ({ status, headers: edgeHeaders() })

  const cloud: FlyCloud = {
    apiOrigin: api.origin,
    apiBase: `${api.origin}/v1`,
    edgeOrigin: edge.origin,
    asked,
    forwarded,
    unrouted: 502,
    machine(id, port = 1) {
      let machine = machines.get(id)
      if (machine === undefined) machines.set(id, (machine = new Machine(id, port)))
      return machine
    },
    next: (status, body, headers = {}) => void next.push({ status, body, headers }),
    always(status, body) {
      always = status === undefined ? undefined : { status, body, headers: {} }
    },
    hang(now = true) {
      hanging = now
    },
    async close() {
      await Promise.all([api.close(), edge.close()])
    },
  }
  return cloud
}

interface Scripted {
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

type Reply = [status: number, body?: unknown]

class Machine implements FlyMachine {
  readonly id: string
  readonly instanceId = randomUUID()
  readonly events: FlyMachine["events"] = []
  state = "stopped"
  hostStatus: FlyMachine["hostStatus"] = "ok"
  port: number
  edgeStatus: number | undefined
  retryAfter: string | undefined
  onStart = (): void => {}
  bootMs = 0
  /** Until it has booted. */
  boot: Promise<void> | undefined
  #burst: number | undefined
  #buckets = new Map<string, { left: number; at: number }>()
  #lease: { nonce: string; owner: string } | undefined
  #refusal: Reply | undefined

  constructor(id: string, port: number) {
    this.id = id
    this.port = port
  }
  start(agoMs = 0): void {
    this.state = "started"
    this.events.unshift({ type: "start", status: "started", source: "flyd", timestamp: Date.now() - agoMs })
    this.onStart()
  }
  stop(): void {
    this.state = "stopped"
    this.events.unshift({ type: "exit", status: "stopped", source: "flyd", timestamp: Date.now() })
  }
  destroy(): void {
    this.state = "destroyed"
  }
  booting(status: number): void {
    this.edgeStatus = status
  }
  booted(): void {
    this.edgeStatus = undefined
  }
  lease(owner: string): void {
    this.#lease = { nonce: randomUUID(), owner }
  }
  capacity(status: 409 | 412): void {
    const text =
      status === 412
        ? "insufficient resources to create new machine with existing volume 'vol_1'"
        : "could not reserve resource for machine: insufficient memory available to fulfill request"
    this.refuse(status, text)
  }
  refuse(status: number, error: string, message?: string): void {
    this.#refusal = [status, { error, message }]
  }
  rateLimit(burst: number, retryAfter?: string): void {
    this.#burst = burst
    this.#buckets.clear()
    this.retryAfter = retryAfter
  }

  /** By default as documented: 5 a second and 10 at once for `get`, else 1 and 3; per machine and action. */
  allowed(action: string, now: number): boolean {
    const burst = this.#burst ?? (action === "get" ? 10 : 3)
    const perSecond = action === "get" ? 5 : 1
    const bucket = this.#buckets.get(action) ?? { left: burst, at: now }
    const left = Math.min(burst, bucket.left + ((now - bucket.at) / 1_000) * perSecond)
    this.#buckets.set(action, { left: Math.max(0, left - 1), at: now })
    return left >= 1
  }

  // F01
  body(app: string): unknown {
    const { id, state, instanceId, hostStatus, events } = this
    const own = { id, name: `${app}-${id}`, state, region: "ord", instance_id: instanceId, private_ip: "fdaa::2" }
    return { ...own, host_status: hostStatus, config: {}, events }
  }

  tryStart(nonce: unknown): Reply {
    const refusal = this.#refusal
    this.#refusal = undefined
    if (refusal !== undefined) return refusal
    if (this.#lease !== undefined && this.#lease.nonce !== nonce) {
      const message = `machine ID ${this.id} lease currently held by ${this.#lease.owner}`
      return [409, { status: "error", message }]
    }
    const before = this.state
    if (!["started", "stopped", "suspended"].includes(before)) {
      const message = `unable to start machine from current state: '${before}'`
      return [412, { error: "failed_precondition", message }]
    }
    if (before !== "started" && this.bootMs === 0) this.start()
    else if (before !== "started") {
      this.state = "starting"
      this.boot = new Promise((resolve) => setTimeout(resolve, this.bootMs)).then(() => {
        if (this.state === "starting") this.start()
      })
    }
    return [200, { previous_state: before, migrated: false, new_host: "" }]
  }

  // F06, F07, F08; a test has no time for 60 s, so the answer is held for a boot and for nothing else.
  wait(query: URLSearchParams): Reply {
    const wanted = query.get("state") ?? "started"
    if (wanted === "stopped" && !query.has("instance_id") && !query.has("version")) {
      return [400, { error: "instance_id required when waiting for stopped machine" }]
    }
    if (wanted === this.state) return [200, { ok: true, state: this.state }]
    const text = `deadline_exceeded: machine failed to reach desired state, ${wanted}, currently ${this.state}`
    return [408, { error: text }]
  }

  // F11
  take(now: number): Reply {
    if (this.#lease !== undefined) return this.tryStart(undefined)
    this.lease("a test")
    const expires = Math.floor(now / 1_000) + 60
    const own = { nonce: this.#lease!.nonce, expires_at: expires, owner: "a test", description: "", version: "01HQ" }
    return [200, { status: "success", data: own }]
  }
}
