/** The requests of a soak: of every kind, to every tenant, over connections that all tenants share, as behind a CDN. */
import { Agent, request as httpRequest } from "node:http"
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { WebSocket } from "ws"
import { hostileResponses, SMUGGLED } from "../../test/abuse/hostile-root.ts"
import { sequenceOf, tenantOf, tokenFor, tokensIn } from "./token.ts"
import { DOMAIN } from "./tenant.ts"
import type { Tenant } from "./tenant.ts"

/** Requests that wait for their response, at most: hostile machines keep some of them until the router's time-out. */
const AT_ONCE = 512

/** What became of one request. */
export type Outcome =
  /** The app's own response, with the request's own token. */
  | "responded"
  /** A generated response, with a code of ours. */
  | "typed error"
  /** The response of a hostile tenant to this request, or a connection that it broke. */
  | "hostile"
  /** The client left, as it meant to. */
  | "cancelled"
  /** The connection ended without a response. */
  | "broken"
  /** Something of another tenant was in the response; to an honest tenant's request also, something of another one or nothing of its own. */
  | "crossed"
  /** To a hostile tenant's request: what it said to another one of its own, or to none. */
  | "desynced"

export const outcomes: readonly Outcome[] = [
  "responded",
  "typed error",
  "hostile",
  "cancelled",
  "broken",
  "crossed",
  "desynced",
]

/** Those that are reported with their bytes. */
const findings: ReadonlySet<Outcome> = new Set<Outcome>(["broken", "crossed", "desynced"])

/** One request that was sent. */
export interface Sent {
  readonly tenant: Tenant
  readonly kind: string
  readonly token: string
}

/** Where the requests go. */
export interface TrafficTarget {
  readonly routerPort: number
  readonly appPort: number
}

/** A response that was not the request's own, with its bytes. */
export interface Finding {
  readonly sent: Sent
  readonly outcome: Outcome
  readonly text: string
}

/** Everything that a response said: its head and its body. */
interface Said {
  readonly status: number
  readonly code: string | undefined
  readonly text: string
  readonly whole: boolean
}

/**
 * What a response to a request is, by what it says. Each says whose it is, the hostile ones too, in their heads: one that does not name
 * this request was not given to it, but for errors in our own name. What names another tenant has crossed, whatever else it is.
 */
export const judge = ({ tenant, token }: Sent, { code, text, whole }: Said): Outcome => {
  const tokens = tokensIn(text)
  if (tokens.some((found) => tenantOf(found) !== tenant.index)) return "crossed"
  if ([...text.matchAll(/\btenant-(\d+)\b/g)].some(([, index]) => Number(index) !== tenant.index)) return "crossed"
  const others = tokens.filter((found) => found !== token)
  const own = others.length === 0 && !text.includes(SMUGGLED) && (tokens.length > 0 || code !== undefined)
  if (tenant.role !== "honest") {
    if (!own) return "desynced"
    return code === undefined ? "hostile" : "typed error"
  }
  if (!own) return whole ? "crossed" : "broken"
  if (code !== undefined) return "typed error"
  return whole && text.includes(`${tenant.name} ${token}`) ? "responded" : "broken"
}

/**
 * Those of the desynced that a `late` response does not explain. It came when its connection had the next request already, which no
 * proxy can tell: {@link https://www.rfc-editor.org/rfc/rfc9112#section-9.2 RFC 9112 §9.2}. That request's own response, then, may be
 * given to the one after it, and so on.
 */
export const unexplained = (found: readonly Finding[]): readonly Finding[] => {
  const displaced = new Set(found.map(({ sent }) => sent.token))
  const isExplained = (token: string): boolean =>
    displaced.has(token) || hostileResponses[sequenceOf(token) % hostileResponses.length]!.late === true
  return found.filter(({ sent, text }) => {
    const others = tokensIn(text).filter((token) => token !== sent.token)
    return others.length === 0 || !others.every(isExplained)
  })
}

/** Sends requests of all kinds; `dispose` closes the connections. */
export class Traffic {
  readonly #target: TrafficTarget
  readonly #agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  readonly #onFinding: (finding: Finding) => void

  constructor(target: TrafficTarget, onFinding: (finding: Finding) => void) {
    this.#target = target
    this.#onFinding = onFinding
  }

  #judge(sent: Sent, said: Said): Outcome {
    const outcome = judge(sent, said)
    if (findings.has(outcome)) this.#onFinding({ sent, outcome, text: said.text })
    return outcome
  }

  /** Sends the nth request, whose tenant and kind follow from `n` alone, and resolves with what became of it. */
  async send(n: number, tenants: readonly Tenant[]): Promise<Outcome> {
    // By a multiplier without a common factor: neighbours in time are of different tenants and kinds.
    const tenant = tenants[(n * 7_919) % tenants.length]!
    const kind = kinds[(n * 31 + Math.floor(n / tenants.length)) % kinds.length]!
    const sent: Sent = { tenant, kind, token: tokenFor(tenant.index, n) }
    if (kind === "websocket") return tenant.role === "honest" ? this.#webSocket(sent) : this.#http(sent, { path: "/" })
    if (kind === "cancelled upload") return this.#cancelledUpload(sent)
    if (kind === "cancelled stream") return this.#cancelledStream(sent)
    if (kind === "post") return this.#http(sent, { method: "POST" }, `${sent.token} ${"p".repeat((n * 97) % 8_192)}`)
    if (kind === "chunked post") {
      const body = `${sent.token} ${"c".repeat(n % 512)}`
      return this.#http(sent, { method: "POST", headers: { "transfer-encoding": "chunked" } }, body)
    }
    if (kind === "stream") return this.#http(sent, { path: "/stream" })
    return this.#http(sent, { method: kind === "head" ? "HEAD" : "GET" })
  }

  dispose(): void {
    this.#agent.destroy()
  }

  #open({ tenant, token }: Sent, { headers, ...options }: RequestOptions): ClientRequest {
    return httpRequest({
      host: "127.0.0.1",
      port: this.#target.routerPort,
      agent: this.#agent,
      ...options,
      headers: {
        host: this.#host(tenant),
        "x-token": token,
        "x-hostile": sequenceOf(token),
        ...(headers as Record<string, string> | undefined),
      },
    })
  }

  #host({ name }: Tenant): string {
    return `${this.#target.appPort}__${name}.${DOMAIN}`
  }

  #http(sent: Sent, options: RequestOptions, body?: string): Promise<Outcome> {
    return new Promise((resolve) => {
      const request = this.#open(sent, options)
      request.once("error", () => resolve(sent.tenant.role === "honest" ? "broken" : "hostile"))
      request.once("response", (response) => void read(response).then((said) => resolve(this.#judge(sent, said))))
      request.end(body)
    })
  }

  /** Half of a body, and gone. */
  #cancelledUpload(sent: Sent): Promise<Outcome> {
    return new Promise((resolve) => {
      const request = this.#open(sent, { method: "POST", headers: { "content-length": "10000" } })
      request.once("error", () => resolve("cancelled"))
      // A hostile machine may respond before the body is there.
      request.once("response", (response) => void read(response).then((said) => resolve(this.#judge(sent, said))))
      request.write(`${sent.token} half of it`, () => setTimeout(() => request.destroy(), 5))
    })
  }

  /** The first event, and gone. */
  #cancelledStream(sent: Sent): Promise<Outcome> {
    return new Promise((resolve) => {
      const request = this.#open(sent, { path: "/events" })
      request.once("error", () => resolve(sent.tenant.role === "honest" ? "broken" : "hostile"))
      request.once("response", (response) => {
        let text = headText(response)
        const done = (): void => {
          response.off("close", done)
          const outcome = this.#judge(sent, { status: response.statusCode!, code: codeOf(response), text, whole: true })
          resolve(outcome === "responded" ? "cancelled" : outcome)
          response.destroy()
        }
        response.on("error", () => undefined)
        response.on("data", (data: Buffer) => {
          text += data.toString("latin1")
          done()
        })
        response.once("close", done)
      })
      request.end()
    })
  }

  /** Three messages, each back before the next. */
  #webSocket(sent: Sent): Promise<Outcome> {
    return new Promise((resolve) => {
      const headers = { host: this.#host(sent.tenant), "x-token": sent.token }
      const socket = new WebSocket(`ws://127.0.0.1:${this.#target.routerPort}/`, { headers, perMessageDeflate: false })
      let left = 3
      const say = (): void => socket.send(`message ${left} of ${sent.token}`)
      const end = (outcome: Outcome): void => {
        resolve(outcome)
        socket.terminate()
      }
      socket.once("open", say)
      socket.once("unexpected-response", (_request, response) => {
        void read(response).then((said) => end(this.#judge(sent, said)))
      })
      socket.once("error", () => resolve("broken"))
      socket.once("close", () => resolve("broken"))
      socket.on("message", (data: Buffer) => {
        const expected = `${sent.tenant.name} ${sent.token} message ${left} of ${sent.token}`
        const text = data.toString("latin1")
        if (text !== expected) {
          this.#onFinding({ sent, outcome: "crossed", text })
          return end("crossed")
        }
        if (--left === 0) return end("responded")
        say()
      })
    })
  }
}

/** Of twenty requests in a row, by their share. */
const kinds = [
  ...Array.from({ length: 9 }, () => "get"),
  ...Array.from({ length: 3 }, () => "post"),
  ...Array.from({ length: 2 }, () => "chunked post"),
  "head",
  "stream",
  "stream",
  "websocket",
  "cancelled upload",
  "cancelled stream",
]

const codeOf = ({ headers }: IncomingMessage): string | undefined =>
  headers["x-iterate-proxy-error"] as string | undefined

const headText = ({ rawHeaders }: IncomingMessage): string => `${rawHeaders.join("\n")}\n\n`

const read = (response: IncomingMessage): Promise<Said> =>
  new Promise((resolve) => {
    let text = headText(response)
    response.on("data", (data: Buffer) => {
      // More than any honest response; a hostile one is read to its end, and not kept.
      if (text.length < 65_536) text += data.toString("latin1")
    })
    response.on("error", () => undefined)
    response.once("close", () => {
      resolve({ status: response.statusCode!, code: codeOf(response), text, whole: response.complete })
    })
  })

/** Runs `count` requests, numbered `from`, 1 by default, at no more than `rate` a second; `onOutcome` is called for each. At most {@link AT_ONCE} are in flight. */
export const runTraffic = async (
  target: TrafficTarget,
  tenants: readonly Tenant[],
  { count, rate, from = 1 }: { readonly count: number; readonly rate: number; readonly from?: number },
  onOutcome: (outcome: Outcome, tenant: Tenant) => void,
  onFinding: (finding: Finding) => void = () => undefined,
): Promise<void> => {
  const traffic = new Traffic(target, onFinding)
  const started = performance.now()
  let next = from
  const worker = async (): Promise<void> => {
    for (let n = next++; n < from + count; n = next++) {
      const early = ((n - from) / rate) * 1_000 - (performance.now() - started)
      if (early > 1) await sleep(early)
      onOutcome(await traffic.send(n, tenants), tenants[(n * 7_919) % tenants.length]!)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  traffic.dispose()
}
