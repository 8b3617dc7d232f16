import type { GeneratedResponse } from "@project-ingress/forward"

/** The field that carries a grant from the page: one that no form and no page of another site can send (Fetch §4.8, CORS preflight). */
export const linkField = "x-ingress-link"

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34rem;padding:0 1rem;overflow-wrap:anywhere;color:CanvasText;background:Canvas}button{font:inherit}`

/** Takes the grant out of the address bar before anything else, redeems it, and goes where the link leads. Nothing is loaded from elsewhere. */
const SCRIPT = `{const grant=location.hash.slice(1)
history.replaceState(null,"",location.pathname)
const text=document.querySelector("p"),again=document.querySelector("button")
const open=async()=>{again.hidden=true
text.textContent="One moment."
try{const response=await fetch(location.pathname,{method:"POST",headers:{"${linkField}":grant},cache:"no-store",redirect:"error",referrerPolicy:"no-referrer"})
const{path,message}=await response.json()
if(response.ok)return location.replace(path)
text.textContent=message}catch{text.textContent="The link could not be opened: the address did not answer."}
again.hidden=false}
again.addEventListener("click",open)
if(grant)open()
else text.textContent="This link is not complete. Copy all of it, with what comes after the #, or ask who sent it for a new one."}`

/**
 * The page that redeems a share link. The grant is in the URL's fragment, which only a script can read. `ancestors` is who may frame it, as
 * Content Security Policy writes it.
 */
export const linkPage = (ancestors = "frame-ancestors 'none'"): GeneratedResponse => {
  const nonce = crypto.randomUUID()
  return {
    status: 200,
    headers: [
      "Content-Type",
      "text/html; charset=utf-8",
      "Cache-Control",
      "no-store",
      "Content-Security-Policy",
      `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; ${ancestors}`,
      "Cross-Origin-Opener-Policy",
      "same-origin",
      "Referrer-Policy",
      "no-referrer",
      "X-Content-Type-Options",
      "nosniff",
      "X-Robots-Tag",
      "noindex",
    ],
    body: `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Opening a shared link</title>
<style nonce="${nonce}">${STYLE}</style>
<h1>Shared link</h1><p role="status"></p><button hidden>Try again</button>
<noscript><p>This page needs JavaScript: what opens the link is in the part after the #, which browsers keep to themselves. Allow scripts for this
address and open the link once more. A program needs an access token instead; ask who sent you the link.</p></noscript>
<script nonce="${nonce}">${SCRIPT}</script></html>
`,
  }
}
