import type { FeedPage } from "../route-feed.ts"
import { changeWaker } from "./change-waker.ts"
import type { ChangeWaker } from "./change-waker.ts"

/** Reads the changes of a database that may notify. */
export interface Listener extends Pick<ChangeWaker, "readUntilChanged"> {
  readonly dispose: () => Promise<void>
}

/**
 * Listens from the first read that waits on. Where it fails, the next read begins again; polling goes on. `listen` calls back at each
 * notification and resolves to what ends that. Absent: nobody notifies.
 */
export const makeListener = (listen: ((notify: () => void) => PromiseLike<() => unknown>) | undefined): Listener => {
  const waker = changeWaker()
  let listening: Promise<(() => unknown) | undefined> | undefined
  const begin = async (): Promise<void> => {
    if (listen === undefined) return
    // Async: it may also throw at once.
    listening ??= (async () => listen(waker.wake))().catch(() => {
      listening = undefined
      return undefined
    })
    await listening
  }
  const dispose = async (): Promise<void> => {
    const begun = listening
    listening = undefined
    const stop = await begun
    await stop?.()
  }

  return {
    readUntilChanged: async (read: () => Promise<FeedPage>, options) => {
      if (options.waitMs > 0) await begin()
      try {
        return await waker.readUntilChanged(read, options)
      } catch (cause) {
        // A database that is gone has taken the connection that listens with it.
        if (options.signal?.aborted !== true) void dispose().catch(() => undefined)
        throw cause
      }
    },
    dispose,
  }
}
