import { isWorkerd } from "@project-ingress/router/internal"

/** In workerd work ends without a result when the client of its request leaves: what waits for it goes on after this time, in ms. */
const LOST_AFTER_MS = 60_000

/** Runs what it is given one after the other, whatever becomes of it. `canBeLost`: as in workerd. */
export const oneByOne = (
  canBeLost = isWorkerd(),
  lostAfterMs = LOST_AFTER_MS,
): (<A>(run: () => Promise<A>) => Promise<A>) => {
  let last: Promise<unknown> = Promise.resolve()
  return (run) => {
    const before = canBeLost ? atMost(last, lostAfterMs) : last
    const done = before.then(run)
    last = done.catch(() => undefined)
    return done
  }
}

/** Resolves with the other, or when it has taken too long. */
const atMost = (other: Promise<unknown>, ms: number): Promise<unknown> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    void other.then((value) => {
      clearTimeout(timer)
      resolve(value)
    })
  })
