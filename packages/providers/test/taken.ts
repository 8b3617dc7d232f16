import { defaultNames } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import type { Sendable } from "../src/machines/attempt-request.ts"

/** A request that its machine answers with a stamped 200, wherever it is sent. */
export const taken: Sendable<number> = {
  send: () =>
    Effect.succeed({
      status: 200,
      header: (name: string) => (name === defaultNames.stamp ? "1" : undefined),
      answer: 200,
    }),
  discard: () => {},
  replayable: () => true,
}
