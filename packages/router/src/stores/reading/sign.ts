import { monotonicNow } from "@project-ingress/forward/internal"

/** A publisher's sign that all was as its source said, as a reader has it. */
export interface Sign {
  /** When it was given, in ms since 1970, by the publisher's clock. */
  readonly at: number
  /** When it was read, by `monotonicNow`. */
  readonly readAt: number
  /** How old it was then. */
  readonly ageMs: number
}

/** A sign that was read now, after another one. */
export const signOf = (at: number, before: Sign | undefined): Sign => {
  // Of a publisher whose clock is ahead, a sign is as old as it has been known: not new each time that it is read.
  const knownForMs = before?.at === at ? ageOf(before) : 0
  return { at, readAt: monotonicNow(), ageMs: Math.max(knownForMs, Date.now() - at) }
}

/** How old a sign is now. */
export const ageOf = ({ ageMs, readAt }: Sign): number => ageMs + monotonicNow() - readAt
