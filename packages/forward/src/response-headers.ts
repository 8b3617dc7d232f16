import type { HopHeaderNames } from "./header-names.ts"
import type { HeaderList } from "./header-list.ts"
import { setsCookie } from "./edge-cookies.ts"
import type { FieldsEdit, FieldsRewrite } from "./edit-fields.ts"
import { editFields } from "./edit-fields.ts"
import {
  CACHING,
  connectionOptions,
  ESSENTIAL,
  IDENTITY,
  isAlias,
  isServerDirective,
  PROXY_STATUS,
  ruleFor,
  TRAILER,
} from "./header-rules.ts"
import { httpDate } from "./http-date.ts"
import { pseudonyms, withoutOwnStatus } from "./proxy-status.ts"

/** What one response is given on its way back. */
export interface ResponseHop {
  readonly headerNames: HopHeaderNames
  /**
   * True when the response bears our own machine proxy's stamp: then its error code and the request's id reach the client, and
   * the fields about caching that it hid are the app's again. From anybody else the whole family is dropped, and of `Proxy-Status`
   * what names one of our proxies, because an app must not speak in our name.
   */
  readonly stamped: boolean
  /**
   * True when no cache between here and the router may keep the response, because the URL by which it would find it again holds
   * neither the app's port nor its name: the fields about caching are tunnelled, and {@link UNCACHED} stands in their place.
   */
  readonly uncached?: boolean
  /** True of another router of ours, which is believed what it says of itself in `Proxy-Status`. Then it counts as stamped. */
  readonly byRouter?: boolean
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

/** `no-store` for every cache (RFC 9111 §5.2.2.5), `private` for Fastly's, which heeds only that by default. */
const UNCACHED = "private, no-store"

/** The fields to send back with a response, by the same rule: strip, then add. */
export const responseHeaders = (inbound: HeaderList, hop: ResponseHop, shape: ResponseShape): string[] => {
  const { headerNames: names } = hop
  const named = connectionOptions(inbound)
  let out: string[] = []
  let dated = false
  // Fields about caching: those of a response that the machine proxy or a cache wrote, unless the app's own come tunnelled.
  let plain: string[] | undefined
  let tunnelled = false
  for (let i = 0; i < inbound.length; i += 2) {
    const name = inbound[i]!
    const lower = name.toLowerCase()
    const rule = ruleFor(lower)
    if (
      rule !== undefined &&
      rule !== ESSENTIAL &&
      rule !== CACHING &&
      rule !== IDENTITY &&
      rule !== PROXY_STATUS &&
      !(rule === TRAILER && shape.chunked)
    )
      continue
    if (named !== undefined && named.has(lower)) continue
    if (lower.startsWith(names.family) || lower.startsWith(names.prefix)) {
      if (!hop.stamped) continue
      if (isTunnelledCaching(lower, names)) {
        tunnelled = true
        if (inbound[i + 1] !== "") out.push(name.slice(names.tunnel.length), inbound[i + 1]!)
        continue
      }
      if (lower !== names.error && lower !== names.requestId) continue
    }
    if (rule === CACHING && (hop.stamped || (hop.uncached === true && shape.status >= 200))) {
      if (hop.stamped) (plain ??= []).push(name, inbound[i + 1]!)
      else {
        tunnelled ||= lower === "cache-control"
        out.push(names.tunnel + name, inbound[i + 1]!)
      }
      continue
    }
    if (isServerDirective(lower, rule) || isAlias(lower, names)) continue
    if (rule === PROXY_STATUS) {
      const value = inbound[i + 1]!
      const others = hop.byRouter ? value : withoutOwnStatus(value, hop.stamped ? pseudonyms.machineProxy : undefined)
      if (others !== undefined) out.push(name, others)
      continue
    }
    // RFC 9110 §8.6: no Content-Length on 1xx and 204.
    if (lower === "content-length" && (shape.status === 204 || shape.status < 200)) continue
    if (lower === "date") dated = true
    if (hop.edgeCookies !== undefined && lower === "set-cookie" && setsCookie(inbound[i + 1]!, hop.edgeCookies))
      continue
    out.push(name, inbound[i + 1]!)
  }
  if (plain !== undefined && !tunnelled) out.push(...plain)
  hop.rewrite?.(out)
  if (hop.edit !== undefined && (shape.status >= 200 || shape.status === 101)) out = editFields(out, hop.edit)
  if (shape.status === 101) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §15.5.22: a 426 names the protocol it wants; the client may only be offered the one we pass on.
  if (shape.status === 426) out.push("Connection", "Upgrade", "Upgrade", "websocket")
  // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing.
  if (!dated && shape.status >= 200) out.push("Date", httpDate())
  if (hop.uncached === true && shape.status >= 200) {
    // An empty one says that the app sent none.
    if (!tunnelled) out.push(`${names.tunnel}cache-control`, "")
    out.push("Cache-Control", UNCACHED)
  }
  for (const item of hop.add) out.push(item)
  return out
}

/** Whether a field of a stamped response is one about caching that the machine proxy hid, by lower-case name. */
export const isTunnelledCaching = (lower: string, { tunnel }: HopHeaderNames): boolean =>
  lower.startsWith(tunnel) && ruleFor(lower.slice(tunnel.length)) === CACHING

/**
 * The value that the app gave a field, by lower-case name; `value` reads the response as it came, and `names` are those of the
 * machine proxy that stamped it.
 */
export const appValue = (
  value: (lowerName: string) => string | undefined,
  lowerName: string,
  names: HopHeaderNames | undefined,
): string | undefined => {
  const isHidden =
    names !== undefined && ruleFor(lowerName) === CACHING && value(`${names.tunnel}cache-control`) !== undefined
  return isHidden ? value(names.tunnel + lowerName) || undefined : value(lowerName)
}
