import { MANIFEST } from "./manifest.ts"

/** Where routers read a table's pages. Implemented for KV, R2, HTTP and files; anything that keeps bytes by name does. */
export interface PageReader {
  /**
   * The bytes of that name; `undefined` if there are none. `fresh: true`: past every cache that can be passed, because the manifest
   * changes, or what was read is damaged. Names are `manifest` and 32 hex digits; what a name of digits holds never changes.
   */
  read(
    name: string,
    options: { readonly fresh: boolean; readonly signal: AbortSignal },
  ): Promise<Uint8Array | undefined>
}

/** Where a publisher writes them. */
export interface PageStorage extends PageReader {
  /** Resolves when it is stored. A reader may see it later: until then it goes on with the page that it has. */
  write(name: string, bytes: Uint8Array): Promise<unknown>
  /** Forgets a name; also one that is not there. */
  remove(name: string): Promise<unknown>
}

/** What is used of a Workers KV namespace. */
export interface KvPagesBinding {
  get(
    name: string,
    options: { readonly type: "arrayBuffer"; readonly cacheTtl: number },
  ): PromiseLike<ArrayBuffer | null>
  put(name: string, value: Uint8Array): PromiseLike<unknown>
  delete(name: string): PromiseLike<unknown>
}

/** What is used of an R2 bucket. */
export interface R2PagesBinding {
  get(name: string): PromiseLike<{ arrayBuffer(): Promise<ArrayBuffer> } | null>
  put(name: string, value: Uint8Array): PromiseLike<unknown>
  delete(name: string): PromiseLike<unknown>
}

/** Where the pages are among other keys. */
export interface PagesOptions {
  /** Stands before each name. Default `routes/`. */
  readonly prefix?: string
}

/** KV takes no shorter time, in seconds. */
const LEAST_CACHE_TTL = 30
/** A page never changes, so each place may keep it. */
const PAGE_CACHE_TTL = 86_400

/** Pages in Workers KV. A manifest is seen after 60 s or more: KV is eventual. */
export const kvPages = (binding: KvPagesBinding, { prefix = "routes/" }: PagesOptions = {}): PageStorage => ({
  read: async (name, { fresh }) => {
    const bytes = await binding.get(prefix + name, {
      type: "arrayBuffer",
      cacheTtl: fresh ? LEAST_CACHE_TTL : PAGE_CACHE_TTL,
    })
    return bytes === null ? undefined : new Uint8Array(bytes)
  },
  write: async (name, bytes) => binding.put(prefix + name, bytes),
  remove: async (name) => binding.delete(prefix + name),
})

/** Pages in an R2 bucket, which is consistent: a manifest is seen at once. */
export const r2Pages = (binding: R2PagesBinding, { prefix = "routes/" }: PagesOptions = {}): PageStorage => ({
  read: async (name) => {
    const object = await binding.get(prefix + name)
    return object === null ? undefined : new Uint8Array(await object.arrayBuffer())
  },
  write: async (name, bytes) => binding.put(prefix + name, bytes),
  remove: async (name) => binding.delete(prefix + name),
})

/**
 * Pages below a URL, which ends with `/`: what a publisher has written to a folder or a bucket, behind any web server or CDN.
 * 404 and 410 mean that there is none; any other status but 200 is a failure.
 *
 * @throws {TypeError} if the URL is not an absolute one of `http:` or `https:`, or does not end with `/`
 */
export const httpPages = (
  base: string,
  { fetch: send = fetch }: { readonly fetch?: (url: string, init: RequestInit) => Promise<Response> } = {},
): PageReader => {
  if (!/^https?:\/\/[^/]+\/(?:.*\/)?$/.test(base) || !URL.canParse(base))
    throw new TypeError("httpPages: the URL must be absolute, http: or https:, and end with /")
  return {
    read: async (name, { fresh, signal }) => {
      const response = await send(base + name, { signal, ...(fresh ? { cache: "no-cache" } : {}) })
      if (response.status === 404 || response.status === 410) {
        await response.body?.cancel()
        return undefined
      }
      if (response.status !== 200) {
        await response.body?.cancel()
        throw new Error(`status ${response.status}`)
      }
      return new Uint8Array(await response.arrayBuffer())
    },
  }
}

/** What is used of the Cache API. */
export interface PagesCache {
  match(url: string): Promise<Response | undefined>
  put(url: string, response: Response): Promise<void>
}

/**
 * Keeps pages of another reader in a cache of the data centre: `cachedPages(kvPages(env.ROUTES), await caches.open("routes"))`. The
 * manifest passes by it. A cache that fails is as if it were empty.
 */
export const cachedPages = (reader: PageReader, cache: PagesCache): PageReader => ({
  read: async (name, options) => {
    if (name === MANIFEST) return reader.read(name, options)
    const url = `https://pages.invalid/${name}`
    if (!options.fresh) {
      const cached = await cache.match(url).catch(() => undefined)
      if (cached !== undefined) return new Uint8Array(await cached.arrayBuffer())
    }
    const bytes = await reader.read(name, options)
    if (bytes === undefined) return undefined
    const headers = { "cache-control": `public, max-age=${PAGE_CACHE_TTL}, immutable` }
    await cache.put(url, new Response(bytes as Uint8Array<ArrayBuffer>, { headers })).catch(() => undefined)
    return bytes
  },
})
