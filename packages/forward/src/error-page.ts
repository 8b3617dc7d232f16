import type { ErrorText } from "./error-text.ts"

/** What a page shows. */
export interface ErrorPage extends ErrorText {
  readonly status: number
  readonly code: string
  readonly docs: string | undefined
  readonly requestId: string | undefined
  /** Present where waiting helps: how often a page looks, in seconds, and the header of the code. */
  readonly reload: { readonly seconds: number; readonly header: string } | undefined
  /** True for the response to a form: a reload would send it again. */
  readonly ofForm: boolean
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto 2rem;max-width:34rem;padding:0 1rem;overflow-wrap:anywhere;color:#222;background:#fff}h1{font-size:1.5rem;line-height:1.3}small,a{color:#666}@media(prefers-color-scheme:dark){body{color:#ddd;background:#111}small,a{color:#999}}`

/**
 * Asks the address, without a body and without its query (a link may be good for one use), whether the response is still the
 * failure that is shown, and reloads when it is not. While nobody looks at the page it does not ask. A page in a frame of an
 * opaque origin cannot ask, so that it reloads instead.
 */
const SCRIPT = `{const{code,header,seconds}=document.documentElement.dataset
let wait=seconds*1e3,most=Math.max(wait,1e4),busy,timer
const look=async()=>{if(busy||document.hidden)return
busy=1
clearTimeout(timer)
try{const{headers}=await fetch(location.origin+location.pathname,{method:"HEAD",cache:"no-store",redirect:"manual"})
if(headers.get(header)!==code)return location.reload()}catch{if(origin==="null")return location.reload()}
busy=0
timer=setTimeout(look,wait=Math.min(wait*1.1,most))}
timer=setTimeout(look,wait)
document.addEventListener("visibilitychange",look)}`

/** What a page may do (CSP 3 §8.3): its own style, and its own script, which asks nobody but the page's own origin. */
export const pagePolicy = (reload: boolean): string =>
  `default-src 'none'; base-uri 'none'; form-action 'none'; style-src '${STYLE_HASH}'` +
  (reload ? `; script-src '${SCRIPT_HASH}'; connect-src 'self'` : "")

// test/error-page.test.ts compares: to calculate them here would be asynchronous.
const STYLE_HASH = "sha256-NVUWA6BY6qhBKIY5fQ5L1nPkxUSR/Mny7773grazKF8="
const SCRIPT_HASH = "sha256-Dr9IMQ8DuNObO+PIoSZqT+J1cgLiXffh0ySdCSViVdI="

/**
 * A page that says what happened, what to do, and what to report. It needs no script: a browser without scripts reloads it by
 * itself, less often, so that it can be read.
 */
export const errorPage = (page: ErrorPage): string => {
  const { what, next, status, code, docs, requestId, ofForm } = page
  const title = escaped(what)
  const reload = ofForm ? undefined : page.reload
  const wait = page.reload && (ofForm ? "Go back, and send the form again in a moment." : "This page reloads when it answers.")
  const data = reload && ` data-code="${escaped(code)}" data-header="${reload.header}" data-seconds="${Math.max(1, reload.seconds)}"`
  const refresh =
    reload && `<noscript><meta http-equiv="refresh" content="${Math.max(5, reload.seconds)}"></noscript>`
  return `<!doctype html>
<html lang="en"${data ?? ""}><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">${refresh ?? ""}
<title>${title}</title><style>${STYLE}</style>
<h1>${title}</h1>${next === "" ? "" : `<p>${escaped(next)}</p>`}${wait ? `<p>${wait}</p>` : ""}
<p><small><code>${status} ${escaped(code)}</code>${requestId === undefined ? "" : `, request <code>${escaped(requestId)}</code>`}</small>
${docs === undefined ? "" : `<p><a href="${escaped(docs)}" rel="noreferrer">What this means, and how to fix it</a></p>`}${reload ? `<script>${SCRIPT}</script>` : ""}</html>
`
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")
