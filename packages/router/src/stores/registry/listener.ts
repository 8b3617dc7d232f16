/** Listens to a database while somebody waits for changes. */
export interface Listener {
  /** Begins to listen, with the first call. Where it fails, the next call tries again; polling goes on. */
  readonly begin: () => Promise<void>
  readonly dispose: () => Promise<void>
}

/** `listen`: calls back at each notification and resolves to what ends that. Absent: nobody notifies. */
export const makeListener = (
  listen: ((notify: () => void) => PromiseLike<() => unknown>) | undefined,
  wake: () => void,
): Listener => {
  let listening: Promise<(() => unknown) | undefined> | undefined
  return {
    begin: async () => {
      if (listen === undefined) return
      listening ??= Promise.resolve(listen(wake)).catch(() => {
        listening = undefined
        return undefined
      })
      await listening
    },
    dispose: async () => {
      const stop = await listening
      listening = undefined
      await stop?.()
    },
  }
}
