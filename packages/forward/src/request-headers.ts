import type { HopHeaderNames } from "./header-names.ts"
import { headerValue } from "./header-list.ts"
import type { HeaderList } from "./header-list.ts"
import type { FieldsEdit, FieldsRewrite } from "./edit-fields.ts"
import { editFields } from "./edit-fields.ts"
import { withoutCookies } from "./edge-cookies.ts"
import {
  connectionOptions,
  CACHING,
  ESSENTIAL,
  IDENTITY,
  isAlias,
  isIdentity,
  ruleFor,
  SERVER_DIRECTIVE,
  TE,
} from "./header-rules.ts"

/** What one request is given for its next hop. All of it takes precedence over what the client sent. */
export interface RequestHop {
  readonly headerNames: HopHeaderNames
  /** The `Host` to send. Absent where the platform's `fetch` writes it from the URL. */
  readonly host?: string | undefined
  /** Appended as `Via: 1.1 <pseudonym>`: a public name, never an internal name (RFC 9110 §7.6.3). */
  readonly pseudonym: string
  /**
   * Whether the sender proved to be our own router. Only its `X-Forwarded-*`, `Forwarded` and platform headers pass, and
   * only its tunnelled headers are restored; from anybody else they are dropped. A router that tunnels a `Host` has decided
   * what the app sees, and tunnels all such headers: then those that are not tunnelled were added by a platform on the way,
   * and are dropped, too.
   */
  readonly trusted: boolean
  /** True for a WebSocket handshake, the one upgrade that is passed on. */
  readonly upgrade?: boolean
  /** True when the client waits for `100 Continue` and the next hop may send it (RFC 9110 §10.1.1). */
  readonly expect?: boolean
  /** True when trailers of the response reach the client: then the client's `TE: trailers` passes. */
  readonly trailers?: boolean
  /** Names of cookies that belong to a platform on the way: a client's own are dropped. */
  readonly edgeCookies?: readonly string[] | undefined
  /** Lower-case names of fields that were for a platform on the way alone: dropped. What was tunnelled under such a name stays. */
  readonly edgeHeaders?: ReadonlySet<string> | undefined
  /**
   * Gives the fields that are sent instead of those that are left of the client's after the stripping: before `Host`,
   * `Connection`, `Via` and `add` are added. These, what frames the message, and everything under the hop's own prefix are
   * neither shown to it nor taken from it. A field that is invalid throws a `TypeError`.
   */
  readonly edit?: FieldsEdit | undefined
  /** Changes fields after `edit`, so that an edit sees what the client sent. */
  readonly rewrite?: FieldsRewrite | undefined
  /** Added last, so that nothing the client sends, and no edit, removes, precedes or doubles them. */
  readonly add: HeaderList
}

/**
 * The fields to send on with a request: strips, then edits, then adds (the other order lets a client delete our headers by naming
 * them in `Connection`: CVE-2026-33805, CVE-2024-45410, CVE-2022-31813). Names, values, order and repetition of all others
 * stay as they came; `inbound` is not touched. `Transfer-Encoding` is written by whoever sends, who knows the framing.
 *
 * @throws {TypeError} if `host` or a text of `add` has a control character or one above U+00FF, or if an edit gives an invalid
 *   field; and whatever the edit throws
 */
export const requestHeaders = (inbound: HeaderList, hop: RequestHop): string[] => {
  const { headerNames: names, trusted } = hop
  const passesIdentity = trusted && headerValue(inbound, `${names.tunnel}host`) === undefined
  const named = connectionOptions(inbound)
  let out: string[] = []
  let host = hop.host
  let restored: string[] | undefined
  let te = false
  for (let i = 0; i < inbound.length; i += 2) {
    const name = inbound[i]!
    const lower = name.toLowerCase()
    const rule = ruleFor(lower)
    if (rule !== undefined) {
      if (rule === TE) te ||= hop.trailers === true && /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(inbound[i + 1]!)
      if (rule !== ESSENTIAL && rule !== CACHING && rule !== SERVER_DIRECTIVE && !(rule === IDENTITY && passesIdentity))
        continue
      if (lower === "host") continue
    }
    if (named !== undefined && named.has(lower)) continue
    if (hop.edgeHeaders !== undefined && hop.edgeHeaders.has(lower)) continue
    if (lower.startsWith(names.prefix)) {
      if (trusted && lower.startsWith(names.tunnel)) (restored ??= []).push(lower, inbound[i + 1]!)
      continue
    }
    if (!trusted && lower.startsWith(names.family)) continue
    if (!passesIdentity && isIdentity(lower, rule)) continue
    if (isAlias(lower, names)) continue
    if (hop.edgeCookies !== undefined && lower === "cookie") {
      const kept = withoutCookies(inbound[i + 1]!, hop.edgeCookies)
      if (kept !== undefined) out.push(name, kept)
    } else out.push(name, inbound[i + 1]!)
  }
  if (restored !== undefined) {
    for (let i = 0; i < restored.length; i += 2) {
      const name = restored[i]!.slice(names.tunnel.length)
      const rule = ruleFor(name)
      if (name === "host") host = restored[i + 1]!
      else if (name.startsWith(names.prefix)) {
        if (name === names.publicOrigin) setField(out, name, restored[i + 1])
      } else if (rule === undefined || rule === ESSENTIAL || rule === CACHING || rule === IDENTITY) {
        // An empty one says that the client sent none, and that the router's runtime may have.
        const isAbsent = restored[i + 1] === "" && (rule === CACHING || name === "pragma")
        setField(out, name, isAbsent ? undefined : restored[i + 1]!)
      }
    }
  }
  if (hop.edit !== undefined) out = editFields(out, hop.edit, withheldFrom(hop))
  hop.rewrite?.(out)
  if (host !== undefined) out.unshift("Host", checkText(host))
  if (hop.upgrade === true) out.push("Connection", te ? "Upgrade, TE" : "Upgrade", "Upgrade", "websocket")
  else if (te) out.push("Connection", "TE")
  if (te) out.push("TE", "trailers")
  if (hop.expect === true) out.push("Expect", "100-continue")
  out.push("Via", `1.1 ${hop.pseudonym}`)
  for (const item of hop.add) out.push(checkText(item))
  return out
}

/** What is added after an edit, by lower-case name. `Via` counts how often a request came by: without it a loop has no end. */
const withheldFrom = ({ headerNames, add }: RequestHop): ((lower: string) => boolean) => {
  const added = new Set(add.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()))
  return (lower) => lower === "host" || lower === "via" || added.has(lower) || lower.startsWith(headerNames.prefix)
}

const setField = (list: string[], lower: string, value: string | undefined): void => {
  for (let i = list.length - 2; i >= 0; i -= 2) if (list[i]!.toLowerCase() === lower) list.splice(i, 2)
  if (value !== undefined) list.push(lower, value)
}

/**
 * The text itself, for a name or a value that did not come off the wire and that no reader has checked. A CR or LF in it would
 * begin another field, and so would a character above U+00FF, which one byte cannot hold.
 *
 * @throws {TypeError} for such a character
 */
const checkText = (text: string): string => {
  if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) {
    throw new TypeError("a header to add has a control character or one above U+00FF")
  }
  return text
}
