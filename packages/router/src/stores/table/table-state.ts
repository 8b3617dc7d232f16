/**
 * Where a table's image is kept for the next start: a file, KV, R2, or what another process has published. Implemented by
 * `fileState` and `httpState`; one for a key-value store is two calls.
 */
export interface TableState {
  /** The bytes that were saved last, in one piece or in chunks; `undefined` where there are none. */
  load(): PromiseLike<Uint8Array | AsyncIterable<Uint8Array> | undefined>
  /** Replaces what was saved, whole or not at all. Absent: read only. The bytes must not be changed. */
  save?(bytes: Uint8Array): PromiseLike<unknown>
}

/**
 * An image that an HTTP server publishes, read only: 404 means that there is none yet.
 *
 * ```ts
 * const store = tableStore(feed, { state: httpState("https://routes.example.com/routes.packed") })
 * ```
 *
 * `load` rejects for any other status than 2xx, and with what `fetch` rejects with.
 */
export const httpState = (url: string | URL, init?: RequestInit): TableState => ({
  load: async () => {
    const response = await fetch(url, init)
    if (response.ok) return new Uint8Array(await response.arrayBuffer())
    await response.body?.cancel()
    if (response.status === 404) return undefined
    throw new Error(`httpState: the server responded with status ${response.status}`)
  },
})
