import { escapedHtml } from "./escaped-html.ts"
import type { ListeningLink } from "./listening-link.ts"
import type { ErrorText } from "./error-text.ts"

/** What a page shows. */
export interface ErrorPage extends ErrorText {
  readonly status: number
  readonly code: string
  readonly docs: string | undefined
  readonly requestId: string | undefined
  /** Ports with an app, and where to open them. */
  readonly listening?: readonly ListeningLink[] | undefined
  /** Present where waiting helps: how often a page looks, in seconds, and the header of the code. */
  readonly reload: { readonly seconds: number; readonly header: string } | undefined
  /** True where what is waited for is under way. */
  readonly progress: boolean
  /** True for the response to a form: a reload would send it again. */
  readonly ofForm: boolean
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34rem;padding:0 1rem;overflow-wrap:anywhere;color:CanvasText;background:Canvas}small,a{color:inherit;opacity:.7}progress{width:100%;accent-color:CanvasText}`

/**
 * Asks the address, without a body and without its query (a link may be good for one use), whether the response is still the
 * failure that is shown, and reloads when it is not. While nobody looks at the page it does not ask. A page in a frame of an
 * opaque origin cannot ask, so that it reloads instead.
 */
const SCRIPT = `{let{code,header,seconds}=document.documentElement.dataset,wait=seconds*1e3,most=Math.max(wait,1e4),busy,timer,look=async()=>{if(busy||document.hidden)return
busy=1
clearTimeout(timer)
try{const{headers}=await fetch(location.origin+location.pathname,{method:"HEAD",cache:"no-store",redirect:"manual"})
if(headers.get(header)!==code)return location.reload()}catch{if(origin==="null")return location.reload()}
busy=0
timer=setTimeout(look,wait=Math.min(wait*1.1,most))}
timer=setTimeout(look,wait)
document.addEventListener("visibilitychange",look)}`

/** What a page may do: its one script (CSP 3 §8.3), which asks nobody but the page's own origin. */
export const pagePolicy = (reload: boolean): string =>
  `default-src 'none'; style-src 'unsafe-inline'${reload ? `; script-src '${SCRIPT_HASH}'; connect-src 'self'` : ""}`

// A test compares: to calculate it here would be asynchronous.
const SCRIPT_HASH = "sha256-BEBO8ns25gvsAyBze1cjRNYw3xzHTgvCbeswSL4CPEs="

/**
 * A page that says what happened, what to do, and what to report. It needs no script: a browser without scripts reloads it by
 * itself, less often, so that it can be read.
 */
export const errorPage = (page: ErrorPage): string => {
  const { what, next, status, code, docs, requestId, progress, ofForm } = page
  const title = escapedHtml(what)
  const reload = ofForm ? undefined : page.reload
  const when = ofForm ? "Go back, and send the form again in a moment." : "This page reloads when it answers."
  const [data, refresh, script] =
    reload === undefined
      ? ["", "", ""]
      : [
          ` data-code="${escapedHtml(code)}" data-header="${reload.header}" data-seconds="${Math.max(1, reload.seconds)}"`,
          `<noscript><meta http-equiv="refresh" content="${Math.max(progress ? 2 : 5, reload.seconds)}"></noscript>`,
          `<script>${SCRIPT}</script>`,
        ]
  // Without a value it moves, by the browser itself.
  const bar = progress && !ofForm ? `<p><progress aria-label="${title}"></progress></p>` : ""
  const id = requestId === undefined ? "" : `, request <code>${escapedHtml(requestId)}</code>`
  const link =
    docs === undefined
      ? ""
      : `<p><a href="${escapedHtml(docs)}" rel="noreferrer">What this means, and how to fix it</a></p>`
  return `<!doctype html>
<html lang="en"${data}><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>${bar}${paragraph(next)}${paragraph(page.reload && when)}${links(page.listening)}<p><small><code>${status} ${escapedHtml(code)}</code>${id}</small></p>${link}${script}</html>
`
}

const paragraph = (text: string | undefined): string => (text ? `<p>${escapedHtml(text)}</p>` : "")

/** A URL is made by the router; of a path that is relative nothing could be said here. */
const links = (listening: ErrorPage["listening"]): string =>
  listening === undefined || listening.length === 0
    ? ""
    : `<p>Listening now: ${listening.map(({ port, url }) => (url === undefined ? `port ${port}` : `<a href="${escapedHtml(url)}">port ${port}</a>`)).join(", ")}</p>`
