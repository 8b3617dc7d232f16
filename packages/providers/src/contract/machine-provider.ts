import type { AddressRule } from "@project-ingress/forward/internal"
import type { ProviderError } from "./errors.ts"

/** A machine as a route names it. */
export interface Machine {
  /** The platform's own name for it, as in hostnames and tickets: `mach_123`. */
  readonly id: string
  /** Which provider runs it: the `type` of a `MachineProvider`. */
  readonly type: string
  /** The provider's name for it. */
  readonly externalId: string
  /** What else the provider needs to find it. Decoded by the adapter, which names the field that is invalid. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Where a machine's proxy listens: data, except for `fetch` where there is no address. */
export interface Endpoint {
  /** Scheme, host and port: `http://127.0.0.1:32769`, `https://app.fly.dev`. No path, no credentials. */
  readonly origin: string
  /**
   * Takes requests instead of the network, for a machine that no URL leads to: a Durable Object's stub, a binding. `origin`
   * is then only the beginning of the request's URL. It must follow no redirect, decode no body and obey the request's signal,
   * which also ends the response's body. A `101` with its socket is passed on by Workers only.
   */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined
  /** Headers that the provider's edge requires, for routing and access. The only place where secrets are allowed. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * `false`: an app's own address, with no machine proxy there. It is sent no ticket and no other field of ours, every response
   * is the app's, and only a failed connection is an error. Default: a machine proxy, which proves itself by its stamp.
   */
  readonly machineProxy?: false | undefined
  /**
   * Which addresses may be connected to, where a record or a visitor has a say in `origin`: its name is resolved once, every
   * address is checked, and the checked one is connected to. Default: any, because the provider is trusted.
   */
  readonly addresses?: AddressRule | undefined
  /**
   * The pin of the machine proxy's public key, as its command `pin` prints it: `sha256//…`, for an `https:` origin where the machine
   * proxy speaks TLS itself. The router's Node host connects to the owner of this key only, and looks at nothing else of its
   * certificate, before it sends a byte. Where no key can be checked, on Workers and wherever requests leave by a `fetch`, a request
   * fails with `ProviderUnavailable` and is not sent. Default: whoever listens at the address gets the request, and proves
   * itself by its response only.
   */
  readonly pin?: string | undefined
  /** Changes with every incarnation of the machine, so that connections to the previous one are never reused. */
  readonly epoch: string
  /** How long it may be used without resolving again, in ms, 0 or more; 0: for one request. */
  readonly ttlMs: number
  /** When its credentials end, in ms since 1970. */
  readonly expiresAt?: number
  /** How long the machine has been up, in ms: a refused connection to a young machine means that it is starting. */
  readonly uptimeMs?: number
}

/** What an adapter can do and what its platform does, as data. */
export interface Capabilities {
  /** Where the adapter itself runs. */
  readonly runtimes: readonly ("node" | "bun" | "deno" | "workerd")[]
  /** Whether WebSockets pass the platform's edge. */
  readonly webSocket: boolean
  /**
   * What the way to the machine's proxy lets through of HTTP/1.1, beside requests and responses one after another. `trailers`: fields
   * after a body. `duplex`: a response that begins, and goes on, while the request's body still comes. A call of gRPC needs both, and is
   * refused where one of them is not known to pass (501 `PROTOCOL_NOT_CARRIED`). Default: neither.
   */
  readonly carries?: { readonly trailers: boolean; readonly duplex: boolean }
  /** What starts a stopped machine: nothing, a call of `start`, or the request itself. */
  readonly wake: "none" | "start" | "request"
  /**
   * `any`: one endpoint leads to every port behind the machine's proxy; it is resolved once for all of them, whichever port is
   * wanted first. `declared`: each port has an endpoint of its own.
   */
  readonly ports: "any" | "declared"
  /** Lower-case names of request headers that the platform removes or acts on. They are sent under another name. */
  readonly interceptedHeaders: readonly string[]
  /** Names of cookies that the platform's edge sets for itself: removed from responses and from requests. */
  readonly edgeCookies?: readonly string[]
}

/** A response without our stamp: the platform's own. Its head, and at most 4 096 characters of its body where it was read. */
export interface PlatformResponse {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
  readonly body?: string
}

/**
 * What a response without our stamp means: an error of the contract; `check-status`: only the machine's status can tell;
 * `refresh-credentials`: the platform's edge no longer accepts the endpoint's headers, so it has to be resolved again.
 */
export type Verdict = ProviderError | "check-status" | "refresh-credentials"

/**
 * What a machine is doing, in the words of this package. `stopped`, `suspended`, `stopping` and `failed` fail a request with
 * `MachineNotRunning`, `starting` with `MachineStarting`, `gone` with `MachineNotFound`.
 */
export type MachineState = "running" | "starting" | "stopping" | "stopped" | "suspended" | "failed" | "gone" | "unknown"

/** What `status` of a provider resolves with. */
export interface MachineStatus {
  readonly state: MachineState
  /** The provider's own name of the state, as `MachineNotRunning` repeats it: `exited`. `archived` has an error response of its own. No secret. */
  readonly detail?: string
  /** How long the machine has been up, in ms. */
  readonly uptimeMs?: number
}

/**
 * A provider of machines. Implemented by adapter authors, as a function from options to such an object. Only `type`,
 * `capabilities` and `resolve` are required. An adapter translates: it never retries, caches, waits or logs. It rejects with
 * one of the `ProviderError` classes; anything else that it throws becomes `ProviderUnavailable`.
 */
export interface MachineProvider {
  /** The `type` of the machines that it runs. */
  readonly type: string
  readonly capabilities: Capabilities
  /** Where the machine's proxy listens. `port` is the port wanted inside, for `ports: "declared"` alone. */
  resolve(machine: Machine, options: { readonly port: number; readonly signal: AbortSignal }): Promise<Endpoint>
  /**
   * What a response without our stamp means. Pure. Default: 502 to 504 and 520 to 530 are `check-status`, all others
   * `ProviderUnavailable`.
   */
  classify?(response: PlatformResponse, machine: Machine): Verdict
  /** What the machine is doing now. Called after a request failed, when the failure alone cannot be explained. */
  status?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<MachineStatus>
  /**
   * Starts the machine. Resolves when the provider accepted; starting a running machine is no failure. May give the endpoint
   * if it is known by then and the same for every port (`ports: "any"`), which saves a call of `resolve`.
   */
  // oxlint-disable-next-line typescript/no-invalid-void-type -- most adapters have nothing to give
  start?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<Endpoint | void>
  /**
   * Tells the platform that the machine is in use, for platforms that do not see it by the traffic. Called at most every 45 s
   * for a machine, when it responds and while its responses are open. A WebSocket that `fetch` gives on Workers counts when it
   * opens.
   */
  keepAlive?(machine: Machine, options: { readonly signal: AbortSignal }): Promise<void>
  /**
   * Changes of state as they happen. Only a hint: a missed one may cost one failed attempt. Ends when the signal aborts; one
   * that ends earlier is restarted with exponential back-off.
   */
  watch?(options: { readonly signal: AbortSignal }): AsyncIterable<MachineChange>
}

/** A change of state that a provider reports by itself. */
export interface MachineChange {
  readonly externalId: string
  readonly state: MachineState
}
