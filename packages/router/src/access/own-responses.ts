import type { GeneratedResponse } from "@project-ingress/forward"
import type { Outcome, PolicyRequest } from "../policies/policy.ts"

/** What every response of the platform's own paths has: nobody keeps it, frames it or learns its URL from a `Referer`. */
const ownFields: readonly string[] = ["Cache-Control", "no-store", "Referrer-Policy", "no-referrer"]

// No scripts, no frames around it, and its form goes to its own origin only.
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

const page = (title: string, body: string): GeneratedResponse => ({
  status: 200,
  headers: [
    ...ownFields,
    "Content-Type",
    "text/html; charset=utf-8",
    "Content-Security-Policy",
    POLICY,
    "X-Content-Type-Options",
    "nosniff",
  ],
  body: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>:root{color-scheme:light dark;font:1rem/1.5 system-ui}body{margin:20vh auto;max-width:32rem;padding:0 1rem}</style>
<h1>${title}</h1>${body}`,
})

/** What `GET` of the path shows: the hostname consists of letters, digits, `-`, `_` and dots. */
export const signOutPage = (hostname: string): GeneratedResponse =>
  page(`Sign out of ${hostname}?`, '<form method="post"><button>Sign out</button></form>')

export const signedOutPage = (hostname: string, cookies: readonly string[]): GeneratedResponse => {
  const { headers, ...shown } = page(`You are signed out of ${hostname}`, '<p><a href="/">Sign in again</a></p>')
  return { ...shown, headers: [...headers, ...setCookies(cookies)] }
}

/** Parameters of a request; of several with one name the first counts. */
export const queryOf = ({ path }: PolicyRequest): URLSearchParams => {
  const at = path.indexOf("?")
  return new URLSearchParams(at === -1 ? "" : path.slice(at))
}

/** A redirect with cookies. */
export const moveTo = (location: string, cookies: readonly string[]): Outcome => ({
  // 303: whatever the method was, the next one is a GET (RFC 9110 §15.4.4).
  respond: { status: 303, headers: ["Location", location, ...ownFields, ...setCookies(cookies)] },
})

/** A refusal in a text of S0's, which its clients know. */
export const refuseWith = (text: string): Outcome => ({
  respond: { status: 400, headers: ["Content-Type", "text/plain; charset=utf-8", ...ownFields], body: text },
})

/** `Set-Cookie` lines of a response. */
const setCookies = (cookies: readonly string[]): readonly string[] =>
  cookies.flatMap((cookie) => ["Set-Cookie", cookie])
