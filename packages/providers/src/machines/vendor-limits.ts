import { makeBudget, monotonicNow } from "@project-ingress/forward/internal"
import { portlessKey } from "./destination.ts"
import type { Destination } from "./destination.ts"
import { machineRef, ProviderAuth, ProviderRateLimited } from "../contract/errors.ts"
import type { ProviderError } from "../contract/errors.ts"
import { keptMs } from "./recent-failures.ts"

/**
 * What all machines of a provider share: its vendor's patience with one credential. A circuit stops calls that would be refused,
 * and a budget keeps one owner from using up the calls of all.
 */
export interface VendorLimits {
  /** Counts a call, or says why it must not be made now. */
  readonly take: (to: Destination) => ProviderError | undefined
  /** What came of a call; `undefined`: it succeeded. */
  readonly settled: (to: Destination, error: ProviderError | undefined) => void
  /** Why a call would not be made now, by the tag of its error, and for how long, in ms; `undefined`: it would be. */
  readonly circuit: (
    to: Destination,
  ) => { readonly error: ProviderError["_tag"]; readonly retryAfterMs: number } | undefined
  /** How many calls its owner may still cause now. */
  readonly callsLeft: (to: Destination) => number
}

/** How many owners, or machines of one, must be refused in a row: fewer may be refused for a reason of their own. */
const MIN_REFUSED = 3
/** How long one call may find out whether a circuit can close, in ms, before another one may. */
const TRIAL_MS = 5_000
/** The part of the calls that one owner may use. */
const OWNER_PART = 1 / 4

/** The errors that are about the credential, and not about one machine. */
export const isRefusal = (error: ProviderError): error is ProviderAuth | ProviderRateLimited =>
  error._tag === "ProviderAuth" || error._tag === "ProviderRateLimited"

/** `callsPerMinute`: of one provider; that many at once. */
export const makeVendorLimits = ({ callsPerMinute }: { readonly callsPerMinute: number }): VendorLimits => {
  const ofAll = makeBudget({ burst: callsPerMinute, refillMs: 60_000 / callsPerMinute })
  const ofOwner = makeBudget({
    burst: callsPerMinute * OWNER_PART,
    refillMs: 60_000 / (callsPerMinute * OWNER_PART),
  })
  const circuits = new Map<string, Circuit>()

  const openOf = ({ provider, share }: Destination): Open | undefined => {
    const circuit = circuits.get(provider.type)
    return circuit?.open ?? circuit?.limited.get(share)?.open
  }
  return {
    circuit: (to) => {
      const open = openOf(to)
      const leftMs = open === undefined ? 0 : leftOf(open, to, monotonicNow())
      return open === undefined || leftMs <= 0 ? undefined : { error: open.tag, retryAfterMs: Math.ceil(leftMs) }
    },
    callsLeft: ({ provider: { type }, share }) =>
      Math.min(ofOwner.left({ share, key: type }), ofAll.left({ share: type, key: type })),
    take: (to) => {
      const { type } = to.provider
      const now = monotonicNow()
      const open = openOf(to)
      if (open !== undefined) {
        const leftMs = leftOf(open, to, now)
        if (leftMs > 0) return refusalOf(open.tag, to, leftMs)
      }
      // The owner's first: whoever calls too often then uses up nothing of the others, and no trial either.
      if (!ofOwner.take({ share: to.share, key: type }, now) || !ofAll.take({ share: type, key: type }, now)) {
        return refusalOf("ProviderRateLimited", to, 1_000)
      }
      if (open !== undefined) open.until = now + TRIAL_MS
      return undefined
    },
    settled: (to, error) => {
      const { type } = to.provider
      // It says nothing of the credential.
      if (error?._tag === "ProviderUnavailable") return
      if (error === undefined || !isRefusal(error)) {
        circuits.delete(type)
        return
      }
      const circuit = circuits.get(type) ?? { refused: new Set(), open: undefined, limited: new Map() }
      circuits.set(type, circuit)
      const until = monotonicNow() + keptMs(error)
      // A vendor limits one machine as well, and an owner's records may name machines that are not ours.
      circuit.refused.add(`${error._tag} ${to.share}`)
      const sameReason = [...circuit.refused].filter((entry) => entry.startsWith(error._tag)).length
      if (circuit.open !== undefined || sameReason >= MIN_REFUSED) {
        const failedTrials = circuit.open?.failedTrials.add(to.share) ?? new Set<string>()
        circuit.open = { tag: error._tag, until, failedTrials }
        circuit.refused.clear()
      } else if (error._tag === "ProviderRateLimited") {
        const limited = circuit.limited.get(to.share) ?? { machines: new Set(), open: undefined }
        circuit.limited.set(to.share, limited)
        if (limited.machines.size < MIN_REFUSED) limited.machines.add(portlessKey(to))
        if (limited.machines.size < MIN_REFUSED) return
        limited.open = { tag: error._tag, until, failedTrials: new Set() }
      }
    },
  }
}

/** What is known of one provider's refusals since its last success. */
interface Circuit {
  /** Reasons and shares. */
  readonly refused: Set<string>
  /** For all owners. */
  open: Open | undefined
  /** For one owner: its machines whose calls the vendor limited. */
  readonly limited: Map<string, { readonly machines: Set<string>; open: Open | undefined }>
}

/** No call is made before `until`; then one, and the next one after its result or `TRIAL_MS`. */
interface Open {
  readonly tag: (ProviderAuth | ProviderRateLimited)["_tag"]
  until: number
  /** The shares whose calls failed since it opened; about one for each time that it was open. */
  readonly failedTrials: Set<string>
}

// Whose trials failed leaves the next one to others first: they may be refused for a reason of their own.
const leftOf = (open: Open, { share }: Destination, now: number): number =>
  open.until + (open.failedTrials.has(share) ? TRIAL_MS : 0) - now

const refusalOf = (
  tag: (ProviderAuth | ProviderRateLimited)["_tag"],
  { machine }: Destination,
  leftMs: number,
): ProviderError =>
  tag === "ProviderAuth"
    ? new ProviderAuth(machineRef(machine))
    : new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: Math.ceil(leftMs) })
