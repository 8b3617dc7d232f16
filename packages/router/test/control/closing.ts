import { afterEach } from "vitest"

/** What a file's tests open: closed after each of them, the latest first. */
export const closedAfterEach = () => {
  const closing: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close()
  })
  return {
    closing,
    opened: <A extends { readonly close: () => unknown }>(each: A): A => {
      closing.push(() => each.close())
      return each
    },
  }
}
