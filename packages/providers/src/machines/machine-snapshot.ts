import type { ProviderError } from "../contract/errors.ts"
import type { Endpoint, MachineStatus } from "../contract/machine-provider.ts"

/** What a router knows of a machine at one moment: for explanations. Holds no credential and nothing of the machine's metadata. */
export interface MachineSnapshot {
  /** Where it was last reached; absent if that is not known now, and the next request asks its provider. */
  readonly endpoint?: EndpointSnapshot
  /** What its provider said when it was last asked, and how long ago, in ms. It is asked only after a failure. */
  readonly status?: MachineStatus & { readonly ageMs: number }
  /** True while it is being started. */
  readonly isWaking: boolean
  /** Failures of calls for it that still count: a request meets them without another call. */
  readonly failures: readonly FailureSnapshot[]
  /** Present while its vendor is not called, because it refuses the calls of all machines, or of this one's owner. */
  readonly circuit?: { readonly error: ProviderError["_tag"]; readonly retryAfterMs: number }
  /** How many calls are left now: those that failures of this machine may cause, and those of its owner to the vendor. */
  readonly budgets: { readonly failureCalls: number; readonly vendorCalls: number }
}

/** Where a machine is, without what gives access to it. */
export interface EndpointSnapshot {
  /** Scheme, host and port. */
  readonly origin: string
  /** False for an app's own address, without a machine proxy. */
  readonly machineProxy: boolean
  /** Whether the key of its machine proxy is known. */
  readonly isPinned: boolean
  /** True: it is past its time, and counts only while the vendor refuses calls. */
  readonly isStale: boolean
}

/** A call that failed a moment ago. */
export interface FailureSnapshot {
  readonly operation: "resolve" | "status" | "start"
  readonly error: ProviderError["_tag"]
  /** As a sentence, for operators and never for a visitor. */
  readonly reason: string
}

export const endpointSnapshot = (endpoint: Endpoint, isStale: boolean): EndpointSnapshot => ({
  origin: originOf(endpoint.origin),
  machineProxy: endpoint.machineProxy !== false,
  isPinned: endpoint.pin !== undefined,
  isStale,
})

// An adapter's origin is checked when it is given, and has no credentials. Read once more, because here it would be shown.
const originOf = (origin: string): string => {
  const { protocol, host } = new URL(origin)
  return `${protocol}//${host}`
}

export const failureSnapshots = (
  operation: FailureSnapshot["operation"],
  error: ProviderError | undefined,
): readonly FailureSnapshot[] => (error === undefined ? [] : [{ operation, error: error._tag, reason: error.message }])

/** The fields of the contract alone: an adapter may have returned its vendor's whole object. */
export const statusOf = ({ state, detail, uptimeMs }: MachineStatus): MachineStatus => ({
  state,
  ...(detail === undefined ? {} : { detail }),
  ...(uptimeMs === undefined ? {} : { uptimeMs }),
})
