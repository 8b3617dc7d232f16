/**
 * E2B as its public source has it (e2b-dev/infra) and its own client (e2b 2.51) expects it: the API, and the edge, which finds a
 * sandbox by the first label of the host. A test reaches the edge on the loopback, so the host comes in a header of the kit's. It
 * sends on to a real machine proxy.
 */
import { randomBytes } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { components } from "e2b"
import { edgeHostHeader } from "../../src/testing.ts"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { Onward, Said } from "./http.ts"

export interface FakeSandbox {
  readonly id: string
  /** Who listens on port 8080 inside it. */
  machineProxyPort: number
  state: "running" | "paused"
  /** In ms since 1970. */
  startedAt: number
  endAt: number
  /** Whether the edge lets everybody in. */
  public: boolean
  token: string
  /** The edge accepts no token, whatever the API gives. */
  lockedOut: boolean
  /** What the API names as the domain of it. */
  domain: string | undefined
  /** What the edge responds while it is paused; 502 as well as 409 were recorded. */
  pausedStatus: 409 | 502
  /** Awaited by whatever resumes it: what boots inside. */
  boot: () => Promise<void>
  readonly rotateToken: () => void
  readonly pause: () => void
  readonly resume: () => Promise<void>
  readonly kill: () => void
}

export interface Scripted {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface FakeE2b {
  readonly apiBase: string
  readonly apiKey: string
  readonly edgeOrigin: string
  readonly calls: { readonly method: string; readonly path: string; readonly key: unknown; readonly body: string }[]
  /** What the edge received, and where it was to go. */
  readonly edge: { readonly host: string; readonly headers: IncomingMessage["headers"] }[]
  readonly sandbox: (machineProxyPort: number) => FakeSandbox
  /** The next responses of the API, instead of its own. */
  readonly next: (...responses: Scripted[]) => void
  /** Every response of the API from now on, none at all, or again its own. */
  readonly always: (response: Scripted | "hang" | undefined) => void
  readonly close: () => Promise<void>
}

interface Running extends FakeSandbox {
  killed: boolean
}

export const fakeE2b = async (): Promise<FakeE2b> => {
  const apiKey = `e2b_${randomBytes(20).toString("hex")}`
  const sandboxes = new Map<string, Running>()
  const calls: FakeE2b["calls"][number][] = []
  const received: FakeE2b["edge"][number][] = []
  const scripted: Scripted[] = []
  let always: Scripted | "hang" | undefined

  const api = await listen(async (request, response) => {
    const { method = "", url = "", headers } = request
    const body = await textOf(request)
    calls.push({ method, path: url, key: headers["x-api-key"], body })
    const script = scripted.shift() ?? always
    if (script === "hang") return undefined
    if (script !== undefined) return answer(response, script.status, script.body, script.headers)
    if (headers["x-api-key"] !== apiKey) return fail(response, 401, "Invalid API key")
    if (/^\/v2\/sandboxes(?:\?|$)/.test(url)) {
      return answer(response, 200, [...sandboxes.values()].filter(({ killed }) => !killed).map(detail))
    }
    const [, id = "", action = ""] = /^(?:\/v2)?\/sandboxes\/([^/?]+)(?:\/(\w+))?$/.exec(url) ?? []
    const sandbox = sandboxes.get(id)
    if (sandbox === undefined || sandbox.killed) return fail(response, 404, `Sandbox "${id}" doesn't exist`)
    const given = (body === "" ? {} : JSON.parse(body)) as { readonly timeout?: number; readonly duration?: number }
    return operate(sandbox, `${method} ${action}`, given, response)
  })

  /** What the edge says itself, or where it sends on to. */
  const route = (request: IncomingMessage): Said | Onward => {
    const host = String(request.headers[edgeHostHeader])
    received.push({ host, headers: { ...request.headers } })
    const [, port = "", id = ""] = /^(\d+)-([a-z0-9]+)\./.exec(host) ?? []
    const says = (code: number, message: string, more: object = {}): Said => {
      if (/mozilla|chrome|safari|firefox|edge|opera|msie/i.test(request.headers["user-agent"] ?? "")) {
        return { status: code, headers: { "content-type": "text/html; charset=utf-8" }, body: "<!doctype html>" }
      }
      const body = JSON.stringify({ sandboxId: id, message, ...more, code })
      return { status: code, headers: { "content-type": "application/json; charset=utf-8" }, body }
    }
    const sandbox = sandboxes.get(id)
    if (sandbox?.state === "paused" && sandbox.pausedStatus === 409) {
      return says(409, "The sandbox is paused", { canAutoResume: false })
    }
    if (sandbox?.state !== "running" || sandbox.killed) return says(502, "The sandbox was not found")
    const token = request.headers["e2b-traffic-access-token"]
    if (!sandbox.public && (token !== sandbox.token || sandbox.lockedOut)) {
      const which = token === undefined ? "Token header" : "Provided token in header"
      const wrong = `${which} 'e2b-traffic-access-token' is ${token === undefined ? "missing" : "invalid"}`
      return says(403, `Sandbox is secured with traffic access token. ${wrong}`)
    }
    const closed = () => says(502, "The sandbox is running but port is not open", { port: Number(port) })
    return port === "8080" ? onward(request, sandbox, host, closed) : closed()
  }
  const edge = await listen(
    (request, response) => {
      const to = route(request)
      if ("status" in to) answer(response, to.status, to.body, to.headers)
      else sendOn(request, response, to)
    },
    (request, socket, head) => {
      const to = route(request)
      if ("status" in to) refuse(socket, to)
      else upgradeOn(request, socket, head, to)
    },
  )

  const sandbox = (machineProxyPort: number): FakeSandbox => {
    const now = Date.now()
    const made: Running = {
      id: `i${randomBytes(10).toString("hex").slice(0, 19)}`,
      machineProxyPort,
      state: "running",
      startedAt: now - 3_600_000,
      endAt: now + 60_000,
      public: false,
      token: newToken(),
      lockedOut: false,
      domain: undefined,
      pausedStatus: 502,
      killed: false,
      boot: async () => {},
      rotateToken: () => void (made.token = newToken()),
      pause: () => void (made.state = "paused"),
      async resume() {
        await made.boot()
        made.state = "running"
        made.startedAt = Math.max(Date.now(), made.startedAt + 1)
      },
      kill: () => void (made.killed = true),
    }
    sandboxes.set(made.id, made)
    return made
  }

  return {
    apiBase: api.origin,
    apiKey,
    edgeOrigin: edge.origin,
    calls,
    edge: received,
    sandbox,
    next: (...responses) => void scripted.push(...responses),
    always: (response) => void (always = response),
    close: async () => void (await Promise.all([api.close(), edge.close()])),
  }
}

const operate = async (
  sandbox: Running,
  operation: string,
  { timeout = 300, duration = 15 }: { readonly timeout?: number; readonly duration?: number },
  response: ServerResponse,
): Promise<void> => {
  const until = (seconds: number): number => Date.now() + seconds * 1_000
  const running = sandbox.state === "running"
  switch (operation) {
    case "GET ":
      return answer(response, 200, detail(sandbox))
    case "DELETE ":
      sandbox.kill()
      return answer(response, 204)
    // Gives more time, and takes none away.
    case "POST connect":
      if (!running) await sandbox.resume()
      sandbox.endAt = running ? Math.max(sandbox.endAt, until(timeout)) : until(timeout)
      return answer(response, running ? 200 : 201, connected(sandbox))
    case "POST refreshes":
      if (!running) return fail(response, 404, `Sandbox "${sandbox.id}" is not running`)
      sandbox.endAt = Math.max(sandbox.endAt, until(duration))
      return answer(response, 204)
    // Takes time away, too.
    case "POST timeout":
      if (!running) return fail(response, 404, `Sandbox "${sandbox.id}" is not running`)
      sandbox.endAt = until(timeout)
      return answer(response, 204)
    case "POST pause":
      if (!running) return fail(response, 409, "Sandbox is already paused")
      sandbox.pause()
      return answer(response, 204)
    default:
      return fail(response, 404, `no ${operation}`)
  }
}

type Schemas = components["schemas"]

const common = ({ id, domain }: FakeSandbox) =>
  ({ sandboxID: id, templateID: "base", clientID: "c", envdVersion: "0.4.0", domain: domain ?? null }) as const

/** Never with the token of the edge. */
const detail = (sandbox: FakeSandbox): Schemas["SandboxDetail"] => ({
  ...common(sandbox),
  state: sandbox.state,
  startedAt: new Date(sandbox.startedAt).toISOString(),
  endAt: new Date(sandbox.endAt).toISOString(),
  cpuCount: 2,
  memoryMB: 512,
  diskSizeMB: 1_024,
  network: { allowPublicTraffic: sandbox.public },
  lifecycle: { onTimeout: "pause", autoResume: false },
})

const connected = (sandbox: FakeSandbox): Schemas["Sandbox"] => ({
  ...common(sandbox),
  trafficAccessToken: sandbox.public ? null : sandbox.token,
})

/** Go's ReverseProxy behind a load balancer: the host as it came, two fields of the balancer's. */
const onward = (
  request: IncomingMessage,
  { machineProxyPort }: FakeSandbox,
  host: string,
  unreached: () => Said,
): Onward => {
  const { [edgeHostHeader]: _, "x-forwarded-for": client, ...headers } = request.headers
  const forwarded = [client ?? [], "203.0.113.7"].flat().join(", ")
  return {
    port: machineProxyPort,
    headers: { ...headers, host, "x-forwarded-for": forwarded, "x-forwarded-proto": "https" },
    unreached,
  }
}

const fail = (response: ServerResponse, code: number, message: string): void =>
  answer(response, code, { code, message })

const newToken = (): string => randomBytes(16).toString("hex")

const textOf = async (request: IncomingMessage): Promise<string> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return text
}
