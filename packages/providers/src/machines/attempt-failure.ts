import { providerErrors } from "../contract/error-rows.ts"
import type { HopHeaderNames } from "@project-ingress/forward"
import { failureCode, isProven, PIN_MISMATCH, PIN_NOT_SUPPORTED, proofOf } from "@project-ingress/forward/internal"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type { AttemptResponse, ReachedResponse } from "./attempt-request.ts"
import type { Destination } from "./destination.ts"
import {
  isProviderError,
  MachineMismatch,
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  MachineUnproven,
  PortClosed,
  ProviderAuth,
  ProviderUnavailable,
  UpstreamFailed,
  UpstreamTimeout,
  machineRef,
} from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { providerError } from "./from-promise.ts"
import type { Endpoint, Machine, MachineStatus, Verdict } from "../contract/machine-provider.ts"

/** Why an attempt brought no response of its machine, before it is known whether another attempt helps. */
export type AttemptFailure<A = unknown> =
  | { readonly _tag: "NoResponse"; readonly failure: SendFailure; readonly sent: "no" | "maybe" }
  /** Another machine's proxy responded. */
  | { readonly _tag: "Misdirected"; readonly sent: "no" }
  /**
   * The platform's edge rejected our credentials. `unproven`: the response, where the runtime hides its head, so that it may
   * as well be the app's.
   */
  | { readonly _tag: "CredentialsExpired"; readonly unproven?: ReachedResponse<A>; readonly sent: "no" }
  /** The platform responded, and only the machine's status can explain it. */
  | { readonly _tag: "NeedsStatus"; readonly reason: string; readonly sent: "maybe" }
  /** The platform responded, and its adapter knows what that means. */
  | { readonly _tag: "Classified"; readonly error: ProviderError; readonly sent: "maybe" }

/** Whether the machine that the ticket was for gave a response, itself or for its app. */
export const isStamped = (
  { status, header, stamps }: AttemptResponse<unknown>,
  { stamp, error }: HopHeaderNames,
): boolean => isProven(header(stamp), stamps, { status, code: header(error) })

/** The stamp of somebody who is not the machine that the ticket was for. */
export const hasWrongStamp = ({ header, stamps }: AttemptResponse<unknown>, { stamp }: HopHeaderNames): boolean =>
  stamps !== undefined && header(stamp) !== undefined && proofOf(header(stamp), stamps) !== "unproven"

/**
 * The machine's proxy refused the ticket before any app saw the request. Only a proven one counts: whoever sits at a machine's
 * address must not cause signatures.
 */
export const isTicketRefused = ({ status, header }: AttemptResponse<unknown>, { error }: HopHeaderNames): boolean =>
  status === 401 && header(error) === "TICKET_INVALID"

/** What a response means, by whether the machine's own proxy gave it. `undefined`: it is the app's. */
export const classifyResponse = <A>(
  { provider, machine }: Destination,
  endpoint: Endpoint,
  received: AttemptResponse<A>,
  headerNames: HopHeaderNames,
  body?: string,
): AttemptFailure<A> | undefined => {
  if (endpoint.machineProxy === false) return undefined
  const { status, header, stamps, headHidden = false } = received
  const stamp = header(headerNames.stamp)
  if (stamp !== undefined) {
    // An app may respond 421 by itself; only the machine's proxy can give the code, because it removes an app's copy. Another
    // machine's proxy cannot prove to be the one that was meant, and that it is not is all it says: it costs a call of the
    // provider, and gains nobody anything, as whoever is there could as well give no response.
    const misdirected = status === 421 && header(headerNames.error) === providerErrors.MachineMismatch.code
    if (misdirected) return { _tag: "Misdirected", sent: "no" }
    if (isStamped(received, headerNames)) return undefined
    if (stamps !== undefined && proofOf(stamp, stamps) === "unproven") {
      return { _tag: "Classified", error: new MachineUnproven(machineRef(machine)), sent: "maybe" }
    }
  }
  // Nothing proves who took a handshake where its head cannot be seen; the ticket names the machine all the same.
  if (headHidden && status === 101) return undefined
  if (headHidden && status === 421) return { _tag: "Misdirected", sent: "no" }
  const verdict = verdictOf({ provider, machine }, { status, header, ...(body === undefined ? {} : { body }) })
  if (verdict === "refresh-credentials") {
    return {
      _tag: "CredentialsExpired",
      ...(headHidden ? { unproven: { ...received, stamped: false } } : {}),
      sent: "no",
    }
  }
  if (verdict === "check-status") return { _tag: "NeedsStatus", reason: `HTTP ${status}`, sent: "maybe" }
  return headHidden ? undefined : { _tag: "Classified", error: verdict, sent: "maybe" }
}

/** The adapter's verdict, or the contract's default. Whatever else an adapter gives or throws is its failure. */
const verdictOf = (
  { provider, machine }: Pick<Destination, "provider" | "machine">,
  response: Parameters<NonNullable<Destination["provider"]["classify"]>>[0],
): Verdict => {
  if (provider.classify === undefined) return defaultVerdict(response.status, machine)
  try {
    const verdict = provider.classify(response, machine)
    if (verdict === "refresh-credentials" || verdict === "check-status" || isProviderError(verdict)) return verdict
    throw new TypeError("classify gave no verdict")
  } catch (cause) {
    return providerError(cause, machine)
  }
}

const defaultVerdict = (status: number, machine: Machine): Verdict =>
  (status >= 502 && status <= 504) || (status >= 520 && status <= 530)
    ? "check-status"
    : new ProviderUnavailable({
        ...machineRef(machine),
        reason: `HTTP ${status} without the stamp of the machine's proxy`,
      })

/** Whether such a request is not sent from here at all, for want of the runtime or by the rule for addresses: no vendor knows more. */
export const isUnsupported = (failed: AttemptFailure): boolean =>
  failed._tag === "NoResponse" &&
  (failed.failure.kind === "unsupported" || failureCode(failed.failure) === "ADDRESS_NOT_ALLOWED")

/** Whether the machine may be elsewhere by now, so that resolving it again can help. */
export const mayHaveMoved = (failed: AttemptFailure): boolean =>
  failed._tag === "Misdirected" ||
  failed._tag === "CredentialsExpired" ||
  // Some edges give a machine another address with each incarnation, and respond for the previous ones.
  failed._tag === "NeedsStatus" ||
  (failed._tag === "NoResponse" && !(failed.failure.kind === "timeout" && failed.sent === "maybe"))

/** Whether an endpoint leads elsewhere than the one before it, or with other credentials. */
export const hasMoved = (before: Endpoint, after: Endpoint): boolean =>
  before.origin !== after.origin ||
  before.epoch !== after.epoch ||
  before.pin !== after.pin ||
  JSON.stringify(before.headers) !== JSON.stringify(after.headers)

/** Whether it failed as attempts do while a machine is starting. */
export const looksLikeStartup = (failed: AttemptFailure): boolean =>
  failed._tag === "NoResponse" && (failed.failure.kind === "refused" || failed.failure.kind === "reset")

/** Whether only the machine's status can explain it. */
export const needsStatus = (failed: AttemptFailure): boolean =>
  failed._tag === "NeedsStatus" || failed._tag === "NoResponse"

/** What the final error depends on, beside the failure itself. */
export interface Evidence {
  /** The machine has been up for no longer than its startup grace. */
  readonly young: boolean
  /** Whether the request may be sent again. */
  readonly replayable: boolean
  readonly status: MachineStatus | undefined
}

/** Node's code where the peer's first bytes are no TLS. */
const NO_TLS = "ERR_SSL_WRONG_VERSION_NUMBER"

/** The error of an attempt that no other attempt could mend. */
export const toProviderError = (
  failed: AttemptFailure,
  { machine, port }: Destination,
  evidence: Evidence,
): ProviderError => {
  const ref = machineRef(machine)
  if (failed._tag === "Classified") return failed.error
  if (failed._tag === "Misdirected") return new MachineMismatch(ref)
  if (failed._tag === "CredentialsExpired") return new ProviderAuth(ref)
  const cause = failed._tag === "NoResponse" ? failed.failure : undefined
  const { status, young, replayable } = evidence
  switch (status?.state) {
    case "stopping":
    case "stopped":
    case "suspended":
    case "failed":
      return new MachineNotRunning({ ...ref, cause, state: status.detail ?? status.state })
    case "gone":
      return new MachineNotFound({ ...ref, cause })
    case "starting":
      return new MachineStarting({ ...ref, cause })
    case "running":
    case "unknown":
    case undefined:
      break
  }
  const running = status?.state === "running"
  if (failed._tag === "NeedsStatus") {
    if (!running) return new ProviderUnavailable({ ...ref, reason: failed.reason })
    return young ? new MachineStarting(ref) : new PortClosed({ ...ref, port })
  }
  const { kind, sent } = failed.failure
  const code = failureCode(failed.failure)
  if (code === PIN_MISMATCH) return new MachineMismatch({ ...ref, cause, pin: true })
  if (code === PIN_NOT_SUPPORTED) {
    const reason = "its key is pinned, which this runtime's fetch cannot check"
    return new ProviderUnavailable({ ...ref, cause, reason })
  }
  if (kind === "timeout" && sent === "maybe") return new UpstreamTimeout({ ...ref, cause })
  // Every attempt was refused, or cut off before a response by a machine that is running: nothing listens at its address.
  if (kind === "refused" || (kind === "reset" && replayable)) {
    if (young) return new MachineStarting({ ...ref, cause })
    if (kind === "refused" || running) return new PortClosed({ ...ref, cause, port })
  }
  if (sent === "no") {
    const reason = code === NO_TLS ? `it does not speak TLS, as a pin or https: requires (${code})` : (code ?? kind)
    return new ProviderUnavailable({ ...ref, cause, reason, timedOut: kind === "timeout" || undefined })
  }
  return new UpstreamFailed({ ...ref, cause })
}
