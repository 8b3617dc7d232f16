/** Calls a listener of the caller's. What it throws is ignored. */
export const quietly =
  <Event>(listener: ((event: Event) => void) | undefined): ((event: Event) => void) =>
  (event) => {
    try {
      listener?.(event)
    } catch {
      // A log that fails must not fail the routes.
    }
  }
