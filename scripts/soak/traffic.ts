/** The requests of a soak: of every kind, to every tenant, over connections that all tenants share, as behind a CDN. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Client, ClientRequest } from "./client.ts"
import { http1Client } from "./http1-client.ts"
import { http2Client } from "./http2-client.ts"
import { findings, judge } from "./judge.ts"
import type { Finding, Outcome, Said, Sent } from "./judge.ts"
import { sequenceOf, tokenFor } from "./token.ts"
import { DOMAIN } from "./tenant.ts"
import type { Tenant, WayIn } from "./tenant.ts"

/** Requests that wait for their response, at most: hostile machines keep some of them until the router's time-out. */
const AT_ONCE = 512

/** A connection of HTTP/2 has a hundred requests at a time: room for {@link AT_ONCE}, and for WebSockets. */
const HTTP2_CONNECTIONS = 8

/** Where the requests go. */
export interface TrafficTarget {
  readonly routerPort: number
  readonly appPort: number
  /** Default: `sockets`. */
  readonly by?: WayIn
}

/** Sends requests of all kinds; `dispose` closes the connections. */
export class Traffic {
  readonly #appPort: number
  readonly #client: Client
  readonly #onFinding: (finding: Finding) => void

  constructor({ routerPort, appPort, by }: TrafficTarget, onFinding: (finding: Finding) => void) {
    this.#appPort = appPort
    this.#client =
      by === "http2" ? http2Client(routerPort, DOMAIN, HTTP2_CONNECTIONS) : http1Client(routerPort, AT_ONCE)
    this.#onFinding = onFinding
  }

  /** Sends the nth request, whose tenant and kind follow from `n` alone, and resolves with what became of it. */
  async send(n: number, tenants: readonly Tenant[]): Promise<Outcome> {
    // By a multiplier without a common factor: neighbours in time are of different tenants and kinds.
    const tenant = tenants[(n * 7_919) % tenants.length]!
    const kind = kinds[(n * 31 + Math.floor(n / tenants.length)) % kinds.length]!
    const sent: Sent = { tenant, kind, token: tokenFor(tenant.index, n) }
    if (kind === "websocket") return tenant.role === "honest" ? this.#webSocket(sent) : this.#http(sent, {})
    if (kind === "cancelled upload") {
      const said = await this.#send(sent, {
        method: "POST",
        body: `${sent.token} ${"h".repeat(4_096)}`,
        leaves: "upload",
      })
      return said === undefined ? "cancelled" : this.#judge(sent, said)
    }
    if (kind === "cancelled stream") {
      const outcome = await this.#http(sent, { path: "/events", leaves: "download" })
      return outcome === "responded" ? "cancelled" : outcome
    }
    if (kind === "post") {
      return this.#http(sent, { method: "POST", body: `${sent.token} ${"p".repeat((n * 97) % 8_192)}` })
    }
    if (kind === "chunked post") {
      return this.#http(sent, { method: "POST", body: `${sent.token} ${"c".repeat(n % 512)}`, chunked: true })
    }
    if (kind === "stream") return this.#http(sent, { path: "/stream" })
    return this.#http(sent, { method: kind === "head" ? "HEAD" : "GET" })
  }

  dispose(): void {
    this.#client.dispose()
  }

  #judge(sent: Sent, said: Said): Outcome {
    const outcome = judge(sent, said)
    if (findings.has(outcome)) this.#onFinding({ sent, outcome, text: said.text })
    return outcome
  }

  #host({ name, hostname }: Tenant): string {
    return hostname ?? `${this.#appPort}__${name}.${DOMAIN}`
  }

  #send(sent: Sent, more: Partial<ClientRequest>): Promise<Said | undefined> {
    const headers = { "x-token": sent.token, "x-hostile": String(sequenceOf(sent.token)) }
    return this.#client.send({ host: this.#host(sent.tenant), method: "GET", path: "/", headers, ...more })
  }

  async #http(sent: Sent, more: Partial<ClientRequest>): Promise<Outcome> {
    const said = await this.#send(sent, more)
    if (said !== undefined) return this.#judge(sent, said)
    return sent.tenant.role === "honest" ? "broken" : "hostile"
  }

  /** Three messages, each back before the next. */
  async #webSocket(sent: Sent): Promise<Outcome> {
    const { token, tenant } = sent
    const made = await this.#client.webSocket({ host: this.#host(tenant), headers: { "x-token": token } })
    if (made === undefined) return "broken"
    if ("refused" in made) return this.#judge(sent, made.refused)
    const { opened } = made
    return new Promise((resolve) => {
      let left = 3
      const say = (): void => opened.send(`message ${left} of ${token}`)
      const end = (outcome: Outcome): void => {
        opened.onMessage = () => undefined
        resolve(outcome)
        opened.close()
      }
      opened.onMessage = (text) => {
        if (text === undefined) return end("broken")
        if (text !== `${tenant.name} ${token} message ${left} of ${token}`) {
          this.#onFinding({ sent, outcome: "crossed", text })
          return end("crossed")
        }
        return --left === 0 ? end("responded") : say()
      }
      say()
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
