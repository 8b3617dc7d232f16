import type { HeaderList } from "./header-list.ts"
import { headerValues } from "./header-list.ts"

/** The trace that a request is part of, as it says itself (W3C Trace Context, level 1). */
export interface TraceContext {
  /** 32 lower-case hexadecimal digits, not all of them 0. */
  readonly traceId: string
  /** Of the span that sent the request: 16 such digits. */
  readonly spanId: string
  /** Whether the sender says that it records this trace. Untrusted: a visitor may say anything. */
  readonly sampled: boolean
  /** What other tracers keep in `tracestate`, at most 512 characters; empty for nothing. */
  readonly state: string
}

/**
 * Reads the trace context of a request. `undefined` for none, and for one that is malformed or repeated: then `tracestate` is worth
 * nothing either (§3.3). A later version than 00 is read by the rules of this one (§4.3).
 */
export const readTraceContext = (headers: HeaderList): TraceContext | undefined => {
  const parents = headerValues(headers, "traceparent")
  if (parents.length !== 1) return undefined
  const parent = parents[0]!
  const found = TRACEPARENT.exec(parent)
  if (found === null) return undefined
  const [, version, traceId = "", spanId = "", flags = "", rest] = found
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined
  const sampled = (Number.parseInt(flags, 16) & 1) === 1
  return { traceId, spanId, sampled, state: readTraceState(headerValues(headers, "tracestate")) }
}

/**
 * The fields with this trace context in place of any other. `tunnel`: the prefix under which fields travel that a platform on the way
 * would change; the trace context goes under it as well, if one of the client's was.
 */
export const withTraceContext = (headers: HeaderList, context: TraceContext, tunnel: string): HeaderList => {
  const fields: string[] = []
  let tunnelled = false
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const { length } = name
    // Lengths first: most names have another one.
    if (length === 11 || length === 10) {
      const lower = name.toLowerCase()
      if (lower === "traceparent" || lower === "tracestate") continue
    } else if (length === 11 + tunnel.length || length === 10 + tunnel.length) {
      const lower = name.toLowerCase()
      if (lower === `${tunnel}traceparent` || lower === `${tunnel}tracestate`) {
        tunnelled = true
        continue
      }
    }
    fields.push(name, headers[i + 1]!)
  }
  const prefix = tunnelled ? tunnel : ""
  const { traceId, spanId, sampled, state } = context
  fields.push(`${prefix}traceparent`, `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`)
  if (state !== "") fields.push(`${prefix}tracestate`, state)
  return fields
}

const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const NO_TRACE = "0".repeat(32)
const NO_SPAN = "0".repeat(16)

/** §3.3.1.3: a name, perhaps of a tenant of a system, and a value of visible characters without `,` and `=`. */
const MEMBER =
  /^((?:[a-z\d][a-z\d_*/-]{0,255})|(?:[a-z\d][a-z\d_*/-]{0,240}@[a-z][a-z\d_*/-]{0,13}))=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/
const MAX_MEMBERS = 32
/** What everybody has to pass on at least (§3.3.1.5), and the length from which a member goes first. */
const MAX_STATE = 512
const LONG_MEMBER = 128

/** The members of all lines, in order; empty if one of them is invalid, or a name is there twice. */
const readTraceState = (lines: readonly string[]): string => {
  if (lines.length === 0) return ""
  const members = lines
    .join(",")
    .split(",", MAX_MEMBERS * 4)
    .map((member) => member.trim())
    .filter((member) => member !== "")
  const names = new Set(members.map((member) => MEMBER.exec(member)?.[1]))
  if (members.length > MAX_MEMBERS || names.has(undefined) || names.size < members.length) return ""
  let kept = members
  if (kept.join(",").length > MAX_STATE) kept = kept.filter((member) => member.length <= LONG_MEMBER)
  while (kept.join(",").length > MAX_STATE) kept = kept.slice(0, -1)
  return kept.join(",")
}
