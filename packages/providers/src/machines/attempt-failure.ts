import type { HopHeaderNames } from "@project-ingress/forward"
import type { SendFailure } from "@project-ingress/forward/fetch"
import type { Destination } from "./destination.ts"
import { providerErrors } from "../contract/error-rows.ts"
import {
  isProviderError,
  MachineMismatch,
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  PortClosed,
  ProviderAuth,
  ProviderUnavailable,
  UpstreamFailed,
  UpstreamTimeout,
  machineRef,
} from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import type { Endpoint, Machine, MachineStatus, Verdict } from "../contract/machine-provider.ts"
import { failureCode, providerError } from "./provider-client.ts"
import type { AttemptResponse } from "./attempt-request.ts"

/** Why a request did not bring an answer of its machine, while it is still open what follows from it. */
export type AttemptFailure<A = unknown> =
  /** No answer came. */
  | { readonly _tag: "Unanswered"; readonly failure: SendFailure; readonly sent: "no" | "maybe" }
  /** Another machine's proxy answered. */
  | { readonly _tag: "Misdirected"; readonly sent: "no" }
  /** Our credentials at the edge ended. `hidden`: or the app refused, where the runtime shows the status alone. */
  | { readonly _tag: "Stale"; readonly hidden?: { readonly answer: A }; readonly sent: "no" }
  /** The platform answered, and only the machine's status can explain it. */
  | { readonly _tag: "Unclear"; readonly reason: string; readonly sent: "maybe" }
  /** The platform answered, and its adapter knows what that means. */
  | { readonly _tag: "Known"; readonly error: ProviderError; readonly sent: "maybe" }

/** What an answer means, by whether the machine's own proxy gave it. `undefined`: it is the app's. */
export const classifyResponse = <A>(
  { provider, machine }: Destination,
  received: AttemptResponse<A>,
  names: HopHeaderNames,
  body?: string,
): AttemptFailure<A> | undefined => {
  const { status, header, response: answer, headHidden: hidden = false } = received
  if (header(names.stamp) !== undefined) {
    // An app may answer 421 of its own accord; only the machine's proxy can say why, because it removes an app's copy.
    const misdirected = status === 421 && header(names.error) === providerErrors.MachineMismatch.code
    return misdirected ? { _tag: "Misdirected", sent: "no" } : undefined
  }
  // Nothing proves who took a handshake where its head cannot be seen; the ticket names the machine all the same.
  if (hidden && status === 101) return undefined
  if (hidden && status === 421) return { _tag: "Misdirected", sent: "no" }
  let verdict: Verdict
  try {
    const seen = { status, header, ...(body === undefined ? {} : { body }) }
    verdict = provider.classify === undefined ? classify(status, machine) : provider.classify(seen, machine)
  } catch (cause) {
    verdict = providerError(cause, machine)
  }
  if (verdict !== "refresh" && verdict !== "check-status" && !isProviderError(verdict)) {
    verdict = providerError(new TypeError("classify gave no verdict"), machine)
  }
  if (verdict === "refresh") return { _tag: "Stale", ...(hidden ? { hidden: { answer } } : {}), sent: "no" }
  if (verdict === "check-status") return { _tag: "Unclear", reason: `HTTP ${status}`, sent: "maybe" }
  // It may as well be the app's.
  return hidden ? undefined : { _tag: "Known", error: verdict, sent: "maybe" }
}

/** The contract's default: what an answer without a stamp means when its adapter does not say. */
const classify = (status: number, machine: Machine): Verdict =>
  (status >= 502 && status <= 504) || (status >= 520 && status <= 530)
    ? "check-status"
    : new ProviderUnavailable({
        ...machineRef(machine),
        reason: `HTTP ${status} without the stamp of the machine's proxy`,
      })

/** Whether it was not even tried, which says nothing of the machine. */
export const isUntried = (trouble: AttemptFailure): boolean =>
  trouble._tag === "Unanswered" && trouble.failure.kind === "unsupported"

/** Whether the machine may be elsewhere by now, so that asking anew can help. */
export const mayHaveMoved = (trouble: AttemptFailure): boolean =>
  trouble._tag === "Misdirected" ||
  trouble._tag === "Stale" ||
  // Some edges give a machine another address with each incarnation, and answer for those of the past.
  trouble._tag === "Unclear" ||
  (trouble._tag === "Unanswered" && !(trouble.failure.kind === "timeout" && trouble.sent === "maybe"))

export const hasMoved = (before: Endpoint, after: Endpoint): boolean =>
  before.origin !== after.origin ||
  before.epoch !== after.epoch ||
  JSON.stringify(before.headers) !== JSON.stringify(after.headers)

/** What a machine that is coming up does to those who come too early. */
export const isStartingUp = (trouble: AttemptFailure): boolean =>
  trouble._tag === "Unanswered" && (trouble.failure.kind === "refused" || trouble.failure.kind === "reset")

/** Whether only the machine's status can say what happened. */
export const wantsStatus = (trouble: AttemptFailure): boolean =>
  trouble._tag === "Unclear" || trouble._tag === "Unanswered"

/** What is known when it has to be said what happened. */
export interface Evidence {
  /** The machine has been up for no longer than it is given to listen. */
  readonly young: boolean
  readonly replayable: boolean
  readonly status: MachineStatus | undefined
}

/** The typed error of a trouble that nothing mended. */
export const toProviderError = (
  trouble: AttemptFailure,
  { machine, port }: Destination,
  evidence: Evidence,
): ProviderError => {
  const at = machineRef(machine)
  if (trouble._tag === "Known") return trouble.error
  if (trouble._tag === "Misdirected") return new MachineMismatch(at)
  if (trouble._tag === "Stale") return new ProviderAuth(at)
  const cause = trouble._tag === "Unanswered" ? trouble.failure : undefined
  const { status, young, replayable } = evidence
  switch (status?.state) {
    case "stopping":
    case "stopped":
    case "suspended":
    case "failed":
      return new MachineNotRunning({ ...at, cause, state: status.detail ?? status.state })
    case "gone":
      return new MachineNotFound({ ...at, cause })
    case "starting":
      return new MachineStarting({ ...at, cause })
    case "running":
    case "unknown":
    case undefined:
      break
  }
  const running = status?.state === "running"
  if (trouble._tag === "Unclear") {
    if (!running) return new ProviderUnavailable({ ...at, reason: trouble.reason })
    return young ? new MachineStarting(at) : new PortClosed({ ...at, port })
  }
  const { kind, sent } = trouble.failure
  if (kind === "timeout" && sent === "maybe") return new UpstreamTimeout({ ...at, cause })
  // Every try was refused, or cut off before an answer by a machine that runs: nobody listens behind its address.
  if (kind === "refused" || (kind === "reset" && replayable)) {
    if (young) return new MachineStarting({ ...at, cause })
    if (kind === "refused" || running) return new PortClosed({ ...at, cause, port })
  }
  if (sent === "no") return new ProviderUnavailable({ ...at, cause, reason: failureCode(trouble.failure) ?? kind })
  return new UpstreamFailed({ ...at, cause })
}
