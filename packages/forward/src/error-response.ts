import type { ErrorRow } from "./error-row.ts"
import type { GeneratedResponse } from "./generated-response.ts"
import type { HeaderList } from "./header-list.ts"
import type { HopHeaderNames } from "./header-names.ts"

/** What {@link errorResponse} takes beside the row. */
export interface ErrorResponseOptions {
  readonly headerNames: HopHeaderNames
  /** The name of the proxy in `Proxy-Status`, the same as in `Via`. */
  readonly pseudonym: string
  /** True for an HTML page, see `prefersHtml`; default false: JSON. */
  readonly page?: boolean
  /** Overrides the row's status, as for an access that is to look like a missing route. */
  readonly status?: number
  /** Seconds, a non-negative integer; overrides the row's. */
  readonly retryAfter?: number
  /** Added last. */
  readonly add?: HeaderList
}

/**
 * The response for a failure: JSON `{"error":"<code>"}` or a page, never cached, with the code, `Proxy-Status` and, where
 * waiting helps, `Retry-After`.
 */
export const errorResponse = (row: ErrorRow, options: ErrorResponseOptions): GeneratedResponse => {
  const status = options.status ?? row.status
  const retryAfter = options.retryAfter ?? row.retryAfter
  const page = options.page === true
  return {
    status,
    code: row.code,
    headers: [
      "Content-Type",
      page ? "text/html; charset=utf-8" : "application/json",
      "Cache-Control",
      "no-store",
      "X-Content-Type-Options",
      "nosniff",
      "Proxy-Status",
      `${options.pseudonym}; error=${row.error}`,
      options.headerNames.error,
      row.code,
      ...(retryAfter === undefined ? [] : ["Retry-After", String(retryAfter)]),
      ...(page ? ["Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"] : []),
      ...(options.add ?? []),
    ],
    body: page ? pageFor(status, row, retryAfter) : `${JSON.stringify({ error: row.code })}\n`,
  }
}

/**
 * Whether a person waits for a page: a navigation by `Sec-Fetch-Mode`, else an `Accept` that prefers `text/html`. Never for
 * a WebSocket handshake, and never when a script's `fetch` says what it is.
 */
export const prefersHtml = (get: (lowerName: string) => string | null | undefined): boolean => {
  if (get("upgrade")) return false
  const mode = get("sec-fetch-mode")
  if (mode) return mode === "navigate"
  const accept = (get("accept") ?? "").slice(0, 1024).toLowerCase()
  const html = accept.indexOf("text/html")
  const json = accept.indexOf("application/json")
  return html >= 0 && (json < 0 || html < json)
}

/** A page with a `Retry-After` reloads itself, because a machine that is starting now responds a moment later. */
const pageFor = (status: number, { title, code }: ErrorRow, retryAfter: number | undefined): string => {
  const [what, next] = sentences(escaped(title))
  const refresh = retryAfter === undefined ? "" : `<meta http-equiv="refresh" content="${Math.max(1, retryAfter)}">`
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}<title>${what}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem;color:#222;background:#fff}
code{color:#777}@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}}</style>
<h1>${what}</h1>${next === undefined ? "" : `<p>${next}</p>`}<p><code>${status} ${escaped(code)}</code></p></html>
`
}

/** The first sentence, and the others when there are any. */
const sentences = (text: string): [string, string | undefined] => {
  const end = text.indexOf(". ")
  return end === -1 ? [text, undefined] : [text.slice(0, end + 1), text.slice(end + 2)]
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
