import { defaultHeaderNames } from "@project-ingress/forward"
import * as Effect from "effect/Effect"
import type { AttemptRequest } from "../src/machines/attempt-request.ts"

/** A request that its machine answers with a stamped 200, wherever it is sent. */
export const taken: AttemptRequest<number> = {
  send: () =>
    Effect.succeed({
      status: 200,
      header: (name: string) => (name === defaultHeaderNames.stamp ? "1" : undefined),
      response: 200,
    }),
  discard: () => {},
  replayable: () => true,
}
