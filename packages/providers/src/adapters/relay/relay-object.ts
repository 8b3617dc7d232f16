/**
 * The Worker's side of a relay: the Durable Object to which a machine dials out, and what takes the machines' WebSockets. On Workers
 * only, with the compatibility flag `nodejs_compat`.
 *
 * @module
 */
import type { SigningKey } from "@project-ingress/forward"
import {
  accept,
  checkOptions,
  RELAY_PROTOCOL,
  RELAY_STAND_BY,
  relayAudience,
  validateSigningKey,
  verifyRelayProof,
} from "@project-ingress/forward/internal"
import { hosts, OUTCOME, ownResponse } from "./addresses.ts"
import { MachineConnection } from "./machine-connection.ts"
import type { Attachment } from "./machine-connection.ts"
import { autoResponse, socketPair, switched } from "./runtime.ts"
import type { ObjectSocket, RelayState } from "./runtime.ts"
import { SocketMeetings } from "./socket-meetings.ts"
import { UsedProofs } from "./used-proofs.ts"

export { acceptMachines } from "./accept-machines.ts"
export type { MachineNamespace } from "./accept-machines.ts"
export type { RelayState } from "./runtime.ts"

/** What a relay's object reports. No secret and no token is in it. */
export type RelayObjectEvent =
  | { readonly type: "connected"; readonly machine: string }
  /** `code`: of the WebSocket's close frame; 1006 without one. */
  | { readonly type: "disconnected"; readonly machine: string; readonly code: number }
  /** Another process has connected as this machine: one of the two is not meant to run, or the older one had lost its network. */
  | { readonly type: "replaced"; readonly machine: string }
  /** A connection that was not accepted. */
  | { readonly type: "refused"; readonly machine: string; readonly reason: "proof" | "replay" | "taken" }

/** What {@link RelayObject} takes. */
export interface RelayObjectOptions {
  /** The keys that machines' secrets are derived from: that of the router, and others while keys rotate. At least one. */
  readonly signingKeys: readonly SigningKey[]
  /** Called for every change of the connection. What it throws is ignored. */
  readonly onEvent?: (event: RelayObjectEvent) => void
  /** Without a sign of life for so long a machine counts as gone, in ms; more than twice the machine's `heartbeatMs`. 60 000. */
  readonly deadAfterMs?: number
}

/** Close codes, beside those of RFC 6455. */
const REPLACED = 4001
const PROTOCOL_ERROR = 4002
const DEAD = 4003
/** The object was stopped with streams open. */
const SERVICE_RESTART = 1012
const OPEN = 1
const TAG = "machine"

/**
 * The object of one machine, named after it. Holds at most one connection of the machine: the newest that proved who it is.
 *
 * ```ts
 * export class Relay extends RelayObject {
 *   constructor(state: DurableObjectState, env: Env) {
 *     super(state, { signingKeys: [JSON.parse(env.INGRESS_SIGNING_KEY)] })
 *   }
 * }
 * ```
 */
export class RelayObject {
  readonly #state: RelayState
  readonly #options: RelayObjectOptions
  readonly #meetings = new SocketMeetings()
  readonly #proofs: UsedProofs
  #connection: MachineConnection | undefined

  /** @throws {TypeError} naming the option that is unknown, missing or invalid, never a key */
  constructor(state: RelayState, options: RelayObjectOptions) {
    checkOptions(
      "RelayObject",
      options,
      { signingKeys: signingKeysProblem, onEvent: accept.function, deadAfterMs: accept.number(1, 3_600_000) },
      { required: ["signingKeys"] },
    )
    this.#state = state
    this.#options = options
    this.#proofs = new UsedProofs(state.storage)
    state.setWebSocketAutoResponse(autoResponse("ping", "pong") as never)
    for (const socket of state.getWebSockets(TAG) as readonly ObjectSocket[]) this.#restore(socket)
  }

  /** For `acceptMachines` and the provider `relay` of the platform's own Workers only: see {@link hosts}. */
  async fetch(request: Request): Promise<Response> {
    switch (new URL(request.url).hostname) {
      case hosts.requests: {
        const connection = this.#alive()
        if (connection === undefined || connection.draining) return ownResponse("not-connected")
        return connection.send(request, (work) => this.#state.waitUntil(work))
      }
      case hosts.machines:
        return this.#take(request)
      case hosts.status: {
        const connection = this.#alive()
        const connected = connection !== undefined && !connection.draining
        return Response.json({ connected, since: connection?.since, streams: connection?.streams ?? 0 })
      }
      default:
        return new Response("not a request of the relay's own\n", { status: 404 })
    }
  }

  webSocketMessage(socket: unknown, message: string | ArrayBuffer): void {
    const connection = this.#connection
    if (connection === undefined || connection.socket !== socket) return
    const problem = typeof message === "string" ? "a text" : connection.receive(new Uint8Array(message))
    if (problem === undefined) return
    connection.socket.close(PROTOCOL_ERROR, problem)
    this.#lost(connection, PROTOCOL_ERROR)
  }

  webSocketClose(socket: unknown, code: number): void {
    const connection = this.#connection
    if (connection?.socket === socket) this.#lost(connection!, code)
  }

  webSocketError(socket: unknown): void {
    this.webSocketClose(socket, 1006)
  }

  /** A machine's WebSocket, which `acceptMachines` has looked at already. */
  async #take(request: Request): Promise<Response> {
    const machine = this.#name()
    const { searchParams } = new URL(request.url)
    const proof = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1] ?? ""
    const token = searchParams.get("socket")
    const relay = relayAudience(searchParams.get("relay") ?? "", token)
    const verified = await verifyRelayProof(proof, { machine, relay }, this.#options.signingKeys)
    if (verified === undefined) return this.#refuse(machine, "proof", 401)
    // Its secret is good once, and only the connected machine knows it.
    if (token !== null) {
      const end = this.#meetings.meet(token)
      return end === undefined ? new Response("nobody waits for it\n", { status: 404 }) : accepted(end)
    }
    if (!(await this.#proofs.use(verified))) return this.#refuse(machine, "replay", 401)
    if (request.headers.get(RELAY_STAND_BY) !== null && this.#alive() !== undefined)
      return this.#refuse(machine, "taken", 409)
    const [far, near] = socketPair()
    this.#state.acceptWebSocket(near as never, [TAG])
    const before = this.#connection
    this.#connection = new MachineConnection(
      near as ObjectSocket,
      { since: Date.now(), nextId: 1, draining: false, busy: false },
      this.#meetings,
    )
    if (before !== undefined) {
      before.lose()
      before.socket.close(REPLACED, "another process connected as this machine")
      this.#tell({ type: "replaced", machine })
    }
    this.#tell({ type: "connected", machine })
    return accepted(far)
  }

  #refuse(machine: string, reason: "proof" | "replay" | "taken", status: number): Response {
    this.#tell({ type: "refused", machine, reason })
    return new Response(`${reason}\n`, { status, headers: { [OUTCOME]: reason } })
  }

  /** The connection, unless the machine is gone without having said so. */
  #alive(): MachineConnection | undefined {
    const connection = this.#connection
    if (connection === undefined) return undefined
    const { deadAfterMs = 60_000 } = this.#options
    const sign = this.#state.getWebSocketAutoResponseTimestamp(connection.socket as never)?.getTime() ?? 0
    if (Date.now() - Math.max(sign, connection.seenAt) <= deadAfterMs) return connection
    connection.socket.close(DEAD, "no sign of life")
    this.#lost(connection, 1006)
    return undefined
  }

  /** A WebSocket that is still there after the object was woken. */
  #restore(socket: ObjectSocket): void {
    const attachment = socket.deserializeAttachment() as Attachment | null
    if (socket.readyState !== OPEN || attachment === null) return
    if (attachment.busy) return socket.close(SERVICE_RESTART, "the relay was restarted")
    if (this.#connection !== undefined && this.#connection.since > attachment.since) return
    this.#connection = new MachineConnection(socket, attachment, this.#meetings)
  }

  #lost(connection: MachineConnection, code: number): void {
    this.#connection = undefined
    connection.lose()
    this.#tell({ type: "disconnected", machine: this.#name(), code })
  }

  #name(): string {
    const { name } = this.#state.id
    if (name === undefined)
      throw new TypeError("RelayObject: an object must be had by its name, which is the machine's")
    return name
  }

  #tell(event: RelayObjectEvent): void {
    try {
      this.#options.onEvent?.(event)
    } catch {
      // A log that fails must not end the connection.
    }
  }
}

const accepted = (socket: unknown): Response => switched(socket, { "sec-websocket-protocol": RELAY_PROTOCOL })

/** What is wrong with a list of signing keys. */
const signingKeysProblem = (value: unknown): string | undefined => {
  if (!Array.isArray(value) || value.length === 0) return "an array of at least one signing key"
  return value.every((key) => validateSigningKey(key) === undefined)
    ? undefined
    : "an array in which every element is a signing key, the router's"
}
