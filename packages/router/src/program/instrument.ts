import type { Instrument, RequestInstrument } from "../router-options.ts"
import type { Sender, VisitorRequest } from "./sender.ts"

/** An instrument's watch of a request, of which nothing throws. */
export interface Watched {
  readonly sender: <A>(sender: Sender<A>, tunnel: string) => Sender<A>
  readonly end: RequestInstrument["end"]
}

/** Calls `run` and ignores what it throws: what watches a request must not fail it. */
const quietly = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch {
    return undefined
  }
}

/** Begins to watch requests. */
export const instrumented = (
  instrument: Instrument,
  router: Parameters<NonNullable<Instrument["configured"]>>[0],
): ((request: VisitorRequest) => Watched | undefined) => {
  quietly(() => instrument.configured?.(router))
  return (request) => {
    const watch = quietly(() => instrument.begin(request))
    return (
      watch && {
        sender: (sender, tunnel) => quietly(() => watch.sender?.(sender, tunnel)) ?? sender,
        end: (event) => quietly(() => watch.end(event)),
      }
    )
  }
}
