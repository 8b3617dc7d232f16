import type { ProviderError } from "./errors.ts"

/** A machine as a route names it. */
export interface Machine {
  /** The platform's own name for it, as in hostnames and tickets: `mach_123`. */
  readonly id: string
  /** Which provider runs it: a `MachineProvider`'s `type`. */
  readonly type: string
  /** The provider's name for it. */
  readonly externalId: string
  /** What else the provider needs to find it; decoded by the adapter, which names the field that is wrong. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Where a machine's proxy answers: data, but for `fetch` where there is no address. */
export interface Endpoint {
  /** Scheme, host and port: `http://127.0.0.1:32769`, `https://app.fly.dev`. No path, no credentials. */
  readonly origin: string
  /**
   * Takes requests instead of the network, for a machine that no URL leads to: a Durable Object's stub, a binding. `origin`
   * is then only the beginning of the request's URL. It follows no redirect, decodes no body and heeds the request's signal,
   * which ends the answer's body too. A `101` with its socket passes on Workers; elsewhere no WebSocket does.
   */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined
  /** What the provider's edge wants to see: routing and access. Secrets are allowed here and nowhere else. */
  readonly headers?: Readonly<Record<string, string>>
  /** Changes with every incarnation of the machine, so that connections to the last one are never reused. */
  readonly epoch: string
  /** How long it may be used without asking again, in ms; 0: once. */
  readonly ttlMs: number
  /** When its credentials end, in ms since 1970. */
  readonly expiresAt?: number
  /** How long the machine has been up, in ms: a refused connection on a young machine means that it is starting. */
  readonly uptimeMs?: number
}

/** What an adapter can do and what its platform does, as data. */
export interface Capabilities {
  /** Where the adapter itself runs. */
  readonly runtimes: readonly ("node" | "bun" | "deno" | "workerd")[]
  readonly webSocket: boolean
  /** Who wakes a sleeping machine: nobody, a call of `start`, or the request itself. */
  readonly wake: "none" | "start" | "request"
  /** Whether one endpoint leads to any port behind the machine's proxy, or each port has to be declared to the platform. */
  readonly ports: "any" | "declared"
  /** Lower-case names of request headers that the platform eats or acts on; they are tunnelled. */
  readonly interceptedHeaders: readonly string[]
  /** Names of cookies that the platform's edge sets for itself: taken out of answers, and of requests. */
  readonly edgeCookies?: readonly string[]
}

/** An answer that bears no stamp: the platform's own. Only its head, and at most 4 096 octets of body when it was read. */
export interface PlatformResponse {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  readonly body?: string
}

/** What an unstamped answer means. `ask-status`: the answer alone cannot tell. `refresh`: our credentials at the edge ended. */
export type Verdict = ProviderError | "check-status" | "refresh-credentials"

export type MachineState = "running" | "starting" | "stopping" | "stopped" | "suspended" | "failed" | "gone" | "unknown"

export interface MachineStatus {
  readonly state: MachineState
  /** The provider's own word for the state, as `MachineNotRunning` repeats it: `exited`. No secret. */
  readonly detail?: string
  readonly uptimeMs?: number
}

/**
 * What a stranger implements: a function from options to such an object. Only `type`, `capabilities` and `resolve` are
 * required. An adapter translates; it never retries, caches, waits or logs. It rejects with one of the `ProviderError`
 * classes; anything else it throws is taken as `ProviderUnavailable`.
 */
export interface MachineProvider {
  readonly type: string
  readonly capabilities: Capabilities
  /** Where the machine's proxy is. `port` is the port wanted inside, for platforms with one address a port. */
  resolve(machine: Machine, options: { readonly port: number; readonly signal: AbortSignal }): Promise<Endpoint>
  /** What an answer without our stamp means. Pure. Default: 502 to 504 and 520 to 530 `ask-status`, others unavailable. */
  classify?(answer: PlatformResponse, machine: Machine): Verdict
  status?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<MachineStatus>
  /**
   * Wakes the machine. Resolves when the provider accepted; starting a running machine is no failure. May give the endpoint
   * where it is known by then and the same for every port (`ports: "any"`), which spares those who wait a question.
   */
  // oxlint-disable-next-line typescript/no-invalid-void-type -- most adapters have nothing to give
  start?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<Endpoint | void>
  /**
   * Tells the platform that the machine is in use, for those that do not see it by the traffic. Called at most every 45 s for
   * a machine, when it answers and while its answers are open.
   */
  keepAlive?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<void>
  /**
   * States as they change. Only a hint: one that is missed may cost one failed attempt. Ends when the signal aborts; one that
   * ends before is begun anew.
   */
  watch?(options: { readonly signal: AbortSignal }): AsyncIterable<MachineChange>
}

/** A state that a provider tells of by itself. */
export interface MachineChange {
  readonly externalId: string
  readonly state: MachineState
}
