import { isTimedOut } from "@project-ingress/forward/internal"

/** Which machine an error is about. Every error class takes it, with fields of its own. */
export interface MachineRef {
  /** The machine's `type`. */
  readonly provider: string
  /** The provider's name of the machine. */
  readonly machine: string
  /** For logs and spans, never for a client. */
  readonly cause?: unknown
}

/** A machine as the errors take it: `new MachineNotFound(machineRef(machine))`. */
export const machineRef = ({
  type,
  externalId,
}: {
  readonly type: string
  readonly externalId: string
}): MachineRef => ({
  provider: type,
  machine: externalId,
})

/** Builds the sentence. It holds no secret, because none is in the fields. */
abstract class MachineFailure extends Error {
  readonly provider: string
  readonly machine: string
  constructor(ref: MachineRef, sentence: string) {
    super(
      `${ref.provider} machine ${ref.machine} ${sentence}`,
      ref.cause === undefined ? undefined : { cause: ref.cause },
    )
    this.provider = ref.provider
    this.machine = ref.machine
  }
  override get name(): string {
    return (this as unknown as { _tag: string })._tag
  }
}

/** The provider knows no such machine, or it is gone for good. */
export class MachineNotFound extends MachineFailure {
  readonly _tag = "MachineNotFound"
  constructor(ref: MachineRef) {
    super(ref, "does not exist")
  }
}

/** The machine exists and is not running. */
export class MachineNotRunning extends MachineFailure {
  readonly _tag = "MachineNotRunning"
  /** The provider's own name of its state: `exited`, `paused`. */
  readonly state: string
  constructor(ref: MachineRef & { readonly state: string }) {
    super(ref, `is ${ref.state}`)
    this.state = ref.state
  }
}

/** The machine is starting; a retry helps. */
export class MachineStarting extends MachineFailure {
  readonly _tag = "MachineStarting"
  /** When a retry makes sense, in ms from now, where the provider says so. */
  readonly retryAfterMs: number | undefined
  constructor(ref: MachineRef & { readonly retryAfterMs?: number | undefined }) {
    super(ref, "is starting")
    this.retryAfterMs = ref.retryAfterMs
  }
}

/**
 * The machine was started several times in a row and never responded, so that for a minute no request starts it. Somebody has to
 * look why; then a request starts it again.
 */
export class MachineStartFailed extends MachineFailure {
  readonly _tag = "MachineStartFailed"
  constructor(ref: MachineRef & { readonly starts: number }) {
    const last = ref.cause instanceof Error ? `; the last time: ${ref.cause.message}` : ""
    super(ref, `did not respond after ${ref.starts} starts${last}`)
  }
}

/** Another machine responded at this machine's endpoint: a 421, or by TLS with another key than the pinned one. */
export class MachineMismatch extends MachineFailure {
  readonly _tag = "MachineMismatch"
  constructor(ref: MachineRef & { readonly pin?: true | undefined }) {
    const why = ref.pin === undefined ? "" : ", whose TLS key is not the one of the pin"
    super(ref, `is not the one that responded at its endpoint${why}`)
  }
}

/**
 * The machine's proxy says that it cannot prove which machine it is, so that anybody at its address could be it. It holds no
 * secret of its own: give it what `machineKey` returns (`project-ingress-machine-proxy keys --machine <id>`), or accept such
 * machines with `unprovenMachines: true`.
 */
export class MachineUnproven extends MachineFailure {
  readonly _tag = "MachineUnproven"
  constructor(ref: MachineRef) {
    super(
      ref,
      "cannot prove who it is: give it a key of its own (machineKey, or keys --machine of the machine proxy's command), or set unprovenMachines: true",
    )
  }
}

/**
 * The machine is running, but nothing accepts connections at its address: its proxy does not listen. A closed port behind the
 * proxy is a response of the proxy and not this error.
 */
export class PortClosed extends MachineFailure {
  readonly _tag = "PortClosed"
  /** The port that was requested inside the machine. */
  readonly port: number
  constructor(ref: MachineRef & { readonly port: number }) {
    super(ref, `has no machine proxy that accepts connections at its address (port ${ref.port} was requested)`)
    this.port = ref.port
  }
}

/** The provider rejected our credentials. */
export class ProviderAuth extends MachineFailure {
  readonly _tag = "ProviderAuth"
  constructor(ref: MachineRef) {
    super(ref, "cannot be reached: the provider rejected the credentials")
  }
}

/** The provider limits how often it may be called. */
export class ProviderRateLimited extends MachineFailure {
  readonly _tag = "ProviderRateLimited"
  /** When the provider may be called again, in ms from now, where it says so. */
  readonly retryAfterMs: number | undefined
  constructor(ref: MachineRef & { readonly retryAfterMs?: number | undefined }) {
    super(ref, "cannot be reached: the provider limits the rate of calls")
    this.retryAfterMs = ref.retryAfterMs
  }
}

/** The provider failed, or the connection to it or to the machine could not be made. */
export class ProviderUnavailable extends MachineFailure {
  readonly _tag = "ProviderUnavailable"
  /** A short reason for logs: `ECONNREFUSED`, `timeout`, `HTTP 500`. */
  readonly reason: string
  /** Whether it took too long, which a router answers with 504. Default: whether the cause says so, by its name or code. */
  readonly timedOut: boolean
  constructor(ref: MachineRef & { readonly reason: string; readonly timedOut?: boolean | undefined }) {
    super(ref, `cannot be reached: ${ref.reason}`)
    this.reason = ref.reason
    this.timedOut = ref.timedOut ?? isTimedOut(ref.cause)
  }
}

/** The machine's record has a field that the adapter cannot use. */
export class MachineRecordInvalid extends MachineFailure {
  readonly _tag = "MachineRecordInvalid"
  /** The invalid field, by its path: `metadata`, `endpoint.origin`. Its value is never repeated: it may be a secret. */
  readonly field: string
  constructor(ref: MachineRef & { readonly field: string; readonly accepted: string }) {
    super(ref, `has an invalid record: ${ref.field} must be ${ref.accepted}`)
    this.field = ref.field
  }
}

/** The request was sent, and no response head arrived in time. */
export class UpstreamTimeout extends MachineFailure {
  readonly _tag = "UpstreamTimeout"
  constructor(ref: MachineRef) {
    super(ref, "did not respond in time")
  }
}

/** The connection to the machine broke before a response, or its response could not be parsed. */
export class UpstreamFailed extends MachineFailure {
  readonly _tag = "UpstreamFailed"
  constructor(ref: MachineRef) {
    super(ref, "closed the connection or sent an invalid response")
  }
}

/** Everything that can fail between a route and a machine's response. `providerErrors` has a row for each tag. */
export type ProviderError =
  | MachineNotFound
  | MachineNotRunning
  | MachineStarting
  | MachineStartFailed
  | MachineMismatch
  | MachineUnproven
  | PortClosed
  | ProviderAuth
  | ProviderRateLimited
  | ProviderUnavailable
  | MachineRecordInvalid
  | UpstreamTimeout
  | UpstreamFailed

const tags: ReadonlySet<unknown> = new Set<ProviderError["_tag"]>([
  "MachineNotFound",
  "MachineNotRunning",
  "MachineStarting",
  "MachineStartFailed",
  "MachineMismatch",
  "MachineUnproven",
  "PortClosed",
  "ProviderAuth",
  "ProviderRateLimited",
  "ProviderUnavailable",
  "MachineRecordInvalid",
  "UpstreamTimeout",
  "UpstreamFailed",
])

/**
 * Whether a value is one of the errors of this package. Decided by its tag and not by its class: an adapter may have been
 * built against another copy of this package, or run in another realm.
 */
export const isProviderError = (value: unknown): value is ProviderError =>
  Object.prototype.toString.call(value) === "[object Error]" && tags.has((value as { readonly _tag?: unknown })._tag)
