/** Runs what it is given one after the other, whatever becomes of it. */
export const oneByOne = (): (<A>(run: () => Promise<A>) => Promise<A>) => {
  let last: Promise<unknown> = Promise.resolve()
  return (run) => {
    const done = last.then(run)
    last = done.catch(() => undefined)
    return done
  }
}
