import type { Machine } from "@project-ingress/providers"
import type { MachineRoute } from "../stores/record.ts"

/** One of several machines that a request may go to. */
export interface Candidate {
  readonly machine: Machine
  /** The port inside, 1 to 65535. */
  readonly port: number
  /** Above 0, relative to the others. */
  readonly weight: number
  /** The port, where it is the target's own and not the one that the hostname asks for. */
  readonly own: number | undefined
}

/** What is chosen among. */
export interface Candidates {
  readonly record: MachineRoute
  /** Two or more. */
  readonly candidates: readonly Candidate[]
  /** The visitor's address, where it is known: who stays with a machine. */
  readonly seed: string | undefined
}

/** The candidate that a request goes to, and why, for the trace. */
export interface Chosen {
  readonly candidate: Candidate
  readonly reason: string
}

/** How one of several machines is chosen. */
export type Choose = (among: Candidates) => Chosen

/** By the visitor's address alone: all that a router without a balancer can do. */
export const chooseByAddress: Choose = ({ candidates, seed, record: { balance = "sticky" } }) => ({
  candidate: pick(candidates, seed),
  reason: "by client address" + (balance === "sticky" ? "" : `: ${balance} needs a balancer`),
})

/**
 * Chooses by weight, always the same one for the same `seed`: a session in the memory of one machine survives the visitor's next
 * request. Where a candidate is added or left out, only those move who come to it or were with it (weighted rendezvous hashing).
 */
export const pick = <T extends Pick<Candidate, "machine" | "own" | "weight">>(
  candidates: readonly T[],
  // Nobody can be kept at one machine without an address, so that each request may go to any.
  seed = String(Math.random()),
): T => {
  let best: T | undefined
  let bestScore = -1
  for (const candidate of candidates) {
    const { machine, own, weight } = candidate
    // Not by the port that is asked for: all ports of an app share what a visitor does there.
    const score = weight / -Math.log(fraction(`${machine.id} ${own} ${seed}`))
    if (score > bestScore) [best, bestScore] = [candidate, score]
  }
  return best!
}

/** A text as a number from 0 up to 1, evenly spread: FNV-1a of 32 bits with a final mix, so that close addresses part. */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}
