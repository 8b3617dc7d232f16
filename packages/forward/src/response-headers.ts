import type { HopHeaderNames } from "./header-names.ts"
import type { HeaderList } from "./header-list.ts"
import { setsCookie } from "./edge-cookies.ts"
import type { FieldsEdit, FieldsRewrite } from "./edit-fields.ts"
import { editFields } from "./edit-fields.ts"
import { connectionOptions, ESSENTIAL, IDENTITY, isAlias, ruleFor, TRAILER } from "./header-rules.ts"
import { httpDate } from "./http-date.ts"

/** What one response is given on its way back. */
export interface ResponseHop {
  readonly headerNames: HopHeaderNames
  /**
   * True when the response bears our own machine proxy's stamp: then its error code and the
   * request's id reach the client. From anybody else
   * the whole family is dropped, because an app must not speak in our name.
   */
  readonly stamped: boolean
  /** Names of cookies that a platform on the way sets for itself: dropped. */
  readonly edgeCookies?: readonly string[] | undefined
  /** Changes fields before `edit`, so that an edit sees what the client gets. Called for interim responses, too. */
  readonly rewrite?: FieldsRewrite | undefined
  /**
   * Gives the fields that the client gets instead of those that are left after the stripping. What frames the message
   * (`Content-Length`, `Transfer-Encoding`, `Connection` …) is neither shown to it nor taken from it. Called for a final
   * response and for a 101. A field that is invalid throws a `TypeError`.
   */
  readonly edit?: FieldsEdit | undefined
  /** Added last. */
  readonly add: HeaderList
}

/** The part of a response that decides which of its fields make sense. */
export interface ResponseShape {
  readonly status: number
  /** True when the body goes on with chunked framing, which is what can carry trailers. */
  readonly chunked: boolean
}

/** The fields to send back with a response, by the same rule: strip, then add. */
export const responseHeaders = (inbound: HeaderList, hop: ResponseHop, shape: ResponseShape): string[] => {
  const { headerNames: names } = hop
  const named = connectionOptions(inbound)
  let out: string[] = []
  let dated = false
  for (let i = 0; i < inbound.length; i += 2) {
    const name = inbound[i]!
    const lower = name.toLowerCase()
    const rule = ruleFor(lower)
    if (rule !== undefined && rule !== ESSENTIAL && rule !== IDENTITY && !(rule === TRAILER && shape.chunked)) continue
    if (named !== undefined && named.has(lower)) continue
    if (lower.startsWith(names.family) || lower.startsWith(names.prefix)) {
      if (!hop.stamped || (lower !== names.error && lower !== names.requestId)) continue
    }
    if (isAlias(lower, names)) continue
    // RFC 9110 §8.6: no Content-Length on 1xx and 204.
    if (lower === "content-length" && (shape.status === 204 || shape.status < 200)) continue
    if (lower === "date") dated = true
    if (hop.edgeCookies !== undefined && lower === "set-cookie" && setsCookie(inbound[i + 1]!, hop.edgeCookies))
      continue
    out.push(name, inbound[i + 1]!)
  }
  hop.rewrite?.(out)
  if (hop.edit !== undefined && (shape.status >= 200 || shape.status === 101)) out = editFields(out, hop.edit)
  if (shape.status === 101) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §15.5.22: a 426 names the protocol it wants; the client may only be offered the one we pass on.
  if (shape.status === 426) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing.
  if (!dated && shape.status >= 200) out.push("Date", httpDate())
  for (const item of hop.add) out.push(item)
  return out
}
