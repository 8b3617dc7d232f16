/** How long a request on Workers waits for the load of another one, in ms: that request may be over. */
export const FOLLOW_MS = 250

/** The first result within the time that a request waits for others' loads; the timer ends with the wait. */
export const firstResult = async <A>(results: readonly Promise<A>[]): Promise<{ readonly value: A } | undefined> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), FOLLOW_MS)
  })
  try {
    return await Promise.race([...results.map((result) => result.then((value) => ({ value }))), late])
  } finally {
    clearTimeout(timer)
  }
}
