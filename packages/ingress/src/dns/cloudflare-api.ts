import { DnsFailed } from "./errors.ts"

/** A record as Cloudflare has it. */
export interface CloudflareRecord {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly content: string
  /** 1: automatic. */
  readonly ttl: number
  readonly comment?: string | null
}

/** What Cloudflare refused, with the codes of its errors. */
export interface Refused {
  readonly codes: readonly number[]
  readonly reason: string
  readonly cause: Error
}

/** The calls of Cloudflare's API v4 that are made here. Each rejects with `DnsFailed`, or with the reason of its signal. */
export interface CloudflareApi {
  readonly name: string
  find(filter: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<readonly CloudflareRecord[]>
  /** One transaction. Resolves to what was refused, or `undefined`. */
  batch(
    batch: {
      readonly deletes: readonly object[]
      readonly patches: readonly object[]
      readonly posts: readonly object[]
    },
    signal: AbortSignal | undefined,
  ): Promise<Refused | undefined>
}

const PER_PAGE = 100
/** More records than any zone of Cloudflare's has: a `total_pages` that is wrong would never end. */
const MAX_PAGES = 2_500

interface Envelope {
  readonly success: boolean
  readonly errors: readonly { readonly code: number; readonly message: string }[]
  readonly result: unknown
  readonly pages: number
}

export const cloudflareApi = (options: {
  readonly token: string
  readonly zoneId: string
  readonly timeoutMs?: number
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}): CloudflareApi => {
  const name = "cloudflare"
  const { token, zoneId, timeoutMs = 10_000 } = options
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  const records = `https://api.cloudflare.com/client/v4/zones/${zoneId}/dns_records`
  const failed = (reason: string, more: { retryAfterMs?: number | undefined; cause?: Error } = {}): DnsFailed =>
    new DnsFailed({ provider: name, reason, ...more })

  const call = async (url: string, body: unknown, signal: AbortSignal | undefined): Promise<[number, Envelope]> => {
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      const response = await send(url, {
        method: body === undefined ? "GET" : "POST",
        headers: {
          accept: "application/json",
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // The token would be sent along.
        redirect: "manual",
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      })
      const { status, headers } = response
      const envelope = readEnvelope(await response.json().catch(() => undefined))
      if (status === 429) {
        throw failed("too many requests (HTTP 429)", { retryAfterMs: retryAfterMs(headers.get("retry-after")) })
      }
      if (status === 401 || status === 403) throw failed(`the token was refused (HTTP ${status})`)
      if (envelope === undefined) throw failed(`HTTP ${status} without a result`)
      return [status, envelope]
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof DnsFailed) throw error
      // Without the error: a `fetch` of the caller's may have put the request into it, and so the token.
      throw failed(timeout.aborted ? `no response within ${timeoutMs} ms` : "no connection")
    }
  }

  const refusal = (status: number, { errors }: Envelope): Refused => {
    const codes = errors.map(({ code }) => code)
    const messages = errors.map(({ code, message }) => `${code}: ${message}`).join("; ")
    return {
      codes,
      reason: `HTTP ${status}${codes.length === 0 ? "" : `, code ${codes.join(", ")}`}`,
      cause: new Error(messages.replaceAll(token, "…").slice(0, 1_000)),
    }
  }

  return {
    name,
    async find(filter, signal) {
      const found: CloudflareRecord[] = []
      for (let page = 1; page <= MAX_PAGES; page++) {
        const query = new URLSearchParams({ ...filter, per_page: String(PER_PAGE), page: String(page) })
        const [status, envelope] = await call(`${records}?${query}`, undefined, signal)
        if (!envelope.success) {
          const { reason, cause } = refusal(status, envelope)
          throw failed(reason, { cause })
        }
        const { result, pages } = envelope
        if (!Array.isArray(result) || !result.every(isRecord)) throw failed("a list of records that cannot be read")
        found.push(...result)
        if (page >= pages) return found
      }
      throw failed(`more than ${MAX_PAGES} pages of records`)
    },
    async batch(batch, signal) {
      const [status, envelope] = await call(`${records}/batch`, batch, signal)
      if (envelope.success) return undefined
      if (status >= 500) throw failed(refusal(status, envelope).reason)
      return refusal(status, envelope)
    },
  }
}

const readEnvelope = (json: unknown): Envelope | undefined => {
  if (typeof json !== "object" || json === null || !("success" in json)) return undefined
  const { success, errors, result, result_info } = json as Readonly<Record<string, unknown>>
  const pages = (result_info as { readonly total_pages?: unknown } | null | undefined)?.total_pages
  const list: readonly unknown[] = Array.isArray(errors) ? errors : []
  return {
    success: success === true,
    errors: list.map((each) => {
      const { code, message } = (each ?? {}) as { readonly code?: unknown; readonly message?: unknown }
      return { code: typeof code === "number" ? code : 0, message: typeof message === "string" ? message : "" }
    }),
    result,
    pages: typeof pages === "number" ? pages : 1,
  }
}

const isRecord = (value: unknown): value is CloudflareRecord => {
  const { id, name, type, content, ttl } = (value ?? {}) as Readonly<Record<string, unknown>>
  return [id, name, type, content].every((each) => typeof each === "string") && typeof ttl === "number"
}

/** Seconds or a date (RFC 9110 §10.2.3). */
const retryAfterMs = (value: string | null): number | undefined => {
  if (value === null) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const until = Date.parse(value)
  return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now())
}
