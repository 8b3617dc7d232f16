/** Which machine failed. Every error is made of it. */
export interface MachineRef {
  readonly provider: string
  /** The provider's name of the machine. */
  readonly machine: string
  /** For logs and spans, never for a client. */
  readonly cause?: unknown
}

/** A machine as an error names it: `new MachineNotFound(where(machine))`. */
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

/** Sets the tag and the sentence; the sentence holds no secret, because none is in the fields. */
abstract class MachineFailure extends Error {
  readonly provider: string
  readonly machine: string
  constructor(where: MachineRef, sentence: string) {
    super(
      `${where.provider} machine ${where.machine} ${sentence}`,
      where.cause === undefined ? undefined : { cause: where.cause },
    )
    this.provider = where.provider
    this.machine = where.machine
  }
  override get name(): string {
    return (this as unknown as { _tag: string })._tag
  }
}

/** The provider knows no such machine, or it is gone for good. */
export class MachineNotFound extends MachineFailure {
  readonly _tag = "MachineNotFound"
  constructor(where: MachineRef) {
    super(where, "does not exist")
  }
}

/** The machine exists and does not run. */
export class MachineNotRunning extends MachineFailure {
  readonly _tag = "MachineNotRunning"
  /** The provider's own word for it: `exited`, `paused`. */
  readonly state: string
  constructor(where: MachineRef & { readonly state: string }) {
    super(where, `is ${where.state}`)
    this.state = where.state
  }
}

/** The machine is on its way up; asking again soon helps. */
export class MachineStarting extends MachineFailure {
  readonly _tag = "MachineStarting"
  readonly retryAfterMs: number | undefined
  constructor(where: MachineRef & { readonly retryAfterMs?: number | undefined }) {
    super(where, "is starting")
    this.retryAfterMs = where.retryAfterMs
  }
}

/** Another machine answered at this machine's endpoint (a stamped 421). */
export class MachineMismatch extends MachineFailure {
  readonly _tag = "MachineMismatch"
  constructor(where: MachineRef) {
    super(where, "is not the one that answered at its endpoint")
  }
}

/** The machine runs, and its proxy does not answer. That a port inside is closed is the proxy's own answer. */
export class PortClosed extends MachineFailure {
  readonly _tag = "PortClosed"
  readonly port: number
  constructor(where: MachineRef & { readonly port: number }) {
    super(where, `runs, and nothing answers where its proxy should; port ${where.port} was wanted`)
    this.port = where.port
  }
}

/** The provider refused our credentials. */
export class ProviderAuth extends MachineFailure {
  readonly _tag = "ProviderAuth"
  constructor(where: MachineRef) {
    super(where, "cannot be reached: the provider refused the credentials")
  }
}

/** The provider asked us to slow down. */
export class ProviderRateLimited extends MachineFailure {
  readonly _tag = "ProviderRateLimited"
  readonly retryAfterMs: number | undefined
  constructor(where: MachineRef & { readonly retryAfterMs?: number | undefined }) {
    super(where, "cannot be reached: the provider limits the rate")
    this.retryAfterMs = where.retryAfterMs
  }
}

/** The provider, or the way to it, failed. */
export class ProviderUnavailable extends MachineFailure {
  readonly _tag = "ProviderUnavailable"
  /** A short reason for logs: `ECONNREFUSED`, `timeout`, `HTTP 500`. */
  readonly reason: string
  constructor(where: MachineRef & { readonly reason: string }) {
    super(where, `cannot be reached: ${where.reason}`)
    this.reason = where.reason
  }
}

/** A route's machine record has a field the adapter cannot use. */
export class MachineRecordInvalid extends MachineFailure {
  readonly _tag = "MachineRecordInvalid"
  readonly field: string
  constructor(where: MachineRef & { readonly field: string; readonly accepted: string }) {
    super(where, `has an invalid record: ${where.field} must be ${where.accepted}`)
    this.field = where.field
  }
}

/** The machine's proxy took the request and no answer came in time, or the connection broke before one. */
export class UpstreamTimeout extends MachineFailure {
  readonly _tag = "UpstreamTimeout"
  constructor(where: MachineRef) {
    super(where, "did not answer in time")
  }
}

/** The connection to the machine's proxy broke, or its answer could not be understood. */
export class UpstreamFailed extends MachineFailure {
  readonly _tag = "UpstreamFailed"
  constructor(where: MachineRef) {
    super(where, "closed the connection or sent an answer that cannot be understood")
  }
}

/** All that can go wrong between a route and a machine's answer. Each has an answer in `forward`'s table under its tag. */
export type ProviderError =
  | MachineNotFound
  | MachineNotRunning
  | MachineStarting
  | MachineMismatch
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
  "MachineMismatch",
  "PortClosed",
  "ProviderAuth",
  "ProviderRateLimited",
  "ProviderUnavailable",
  "MachineRecordInvalid",
  "UpstreamTimeout",
  "UpstreamFailed",
])

/** By its tag, not its class: an adapter may have been built against another copy of this package. */
export const isProviderError = (value: unknown): value is ProviderError =>
  value instanceof Error && tags.has((value as { readonly _tag?: unknown })._tag)
