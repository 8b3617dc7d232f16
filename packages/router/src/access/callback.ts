import { format } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import type { Outcome, PolicyRequest, Route } from "../policies/policy.ts"
import type { Authority } from "./authority.ts"
import type { Access } from "./define-access.ts"
import { moveTo, queryOf, refuseWith } from "./own-responses.ts"
import { isNavigation } from "./own-requests.ts"
import { generationOf } from "./sessions.ts"
import type { Sessions } from "./sessions.ts"
import { SignInFailed } from "./sign-in-failed.ts"
import type { Attempts } from "./sign-in-state.ts"
import type { SignInWords } from "./sign-in-words.ts"
import { within } from "../stores/reading/within.ts"
import { HOOK_MS } from "./grant.ts"

/** What {@link callback} needs. */
export interface CallbackParts {
  readonly access: Access
  readonly grammar: Grammar
  readonly words: SignInWords
  readonly sessions: Sessions
  readonly attempts: Attempts
  readonly consume: ((id: string) => boolean | PromiseLike<boolean>) | undefined
}

/** What a code was refused for; nothing of it is sent to a client. */
interface Refused {
  readonly refused: string
  /** For another host: S0 has a text for that. */
  readonly elsewhere?: true
}

/** The end of a sign-in: a code of the control plane and this browser's own attempt become a session. */
export const callback = (parts: CallbackParts) => {
  const { grammar, words, sessions } = parts

  return async (request: PolicyRequest, route: Route, at: Authority, path: string): Promise<Outcome> => {
    const { refused: texts } = words
    if (!isNavigation(request)) return { deny: new SignInFailed({ reason: "not a navigation of a tab" }) }
    if (texts !== undefined && format(grammar, route.target) !== at.hostname) return refuseWith(texts.notCanonical)
    const place = { hostname: at.hostname, route }
    const redeemed = await redeem(parts, request, route, at)
    if (!("refused" in redeemed)) {
      const session = await sessions.begin(place, redeemed.subject, redeemed.generation)
      return moveTo(path, [session, redeemed.removeAttempt])
    }
    // Another tab of this browser has signed in: this one may go on as the visitor that the browser already is.
    if ((await sessions.read(request, place)) !== undefined) return moveTo(path, [])
    if (texts !== undefined && redeemed.elsewhere) return refuseWith(texts.host)
    return { deny: new SignInFailed({ reason: redeemed.refused }) }
  }
}

/** What a request's code is worth here and now. */
const redeem = async (
  { access, words, sessions, attempts, consume }: CallbackParts,
  request: PolicyRequest,
  route: Route,
  at: Authority,
): Promise<Refused | { readonly subject: string; readonly generation: number; readonly removeAttempt: string }> => {
  const code = await access.signed("code").verify(queryOf(request).get(words.code) ?? "")
  if (code === undefined) return { refused: "the code is not valid, or has ended" }
  const { host, sub: subject, state, id } = code.claims
  if (typeof subject !== "string" || typeof state !== "string" || typeof id !== "string")
    return { refused: "the code is not complete" }
  if (host !== at.text) return { refused: "the code is for another host", elsewhere: true }
  const attempt = await attempts.find(request.header("cookie"), state)
  if (attempt === undefined) return { refused: "this browser has not begun the sign-in that the code is for" }
  const { claims, remove } = attempt
  if (claims.host !== at.text || claims.project !== (await sessions.identityOf(route)))
    return { refused: "the sign-in was begun for another project" }
  if (claims.generation < generationOf(route)) return { refused: "access was revoked after the sign-in had begun" }
  // Last: nobody else may use a code up.
  const isFirst: unknown = consume === undefined || (await within(HOOK_MS, () => consume(id)))
  if (isFirst !== true) return { refused: "the code was used before" }
  return { subject, generation: claims.generation, removeAttempt: remove }
}
