import { accept } from "./options.ts"
import type { OptionCheck } from "./options.ts"
import type { HeaderList } from "./header-list.ts"
import { readTraceContext, withTraceContext } from "./trace-context.ts"
import type { TraceContext } from "./trace-context.ts"
import { monotonicNow } from "./monotonic-clock.ts"

/** Which requests are recorded, and whose word counts. */
export interface TracingOptions {
  /** The share of requests whose trace is recorded, 0 to 1. Default 1. */
  readonly sampleRatio?: number
  /** How many traces are recorded a second at most, whatever is asked for. 1 to 100 000, default 100. */
  readonly maxTracesPerSecond?: number
  /**
   * Whether the sampled flag of an arriving `traceparent` decides instead of `sampleRatio`. True behind a tracer of one's own alone,
   * because by a visitor's own flag every request of theirs would be recorded. The trace's id is kept either way. Default false.
   */
  readonly trustTraceContext?: boolean
}

/** One check for each of {@link TracingOptions}. */
export const tracingOptionChecks = {
  sampleRatio: accept.number(0, 1),
  maxTracesPerSecond: accept.integer(1, 100_000),
  trustTraceContext: accept.boolean,
} as const satisfies Record<keyof TracingOptions, OptionCheck>

/** Values of a span's attributes. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** A span that is being recorded. */
export interface OpenSpan {
  readonly traceId: string
  readonly spanId: string
  readonly event: (name: string, attributes?: SpanAttributes) => void
  /** Once. `failure`: what went wrong, without a secret. */
  readonly end: (attributes: SpanAttributes, failure?: string) => void
}

/** Begins a span of whatever tracer there is. */
export type StartSpan = (span: {
  readonly name: string
  readonly kind: "server" | "client"
  /** `undefined`: the trace begins here. */
  readonly parent: Pick<TraceContext, "traceId" | "spanId"> | undefined
  readonly attributes: SpanAttributes
}) => OpenSpan

/** The trace of one request. */
export interface RequestTrace {
  /** `undefined`: nothing is recorded. */
  readonly span: OpenSpan | undefined
  /** Begins a span below `span`; absent if nothing is recorded. */
  readonly child?: ((name: string, attributes: SpanAttributes) => OpenSpan) | undefined
  /** The fields for the next hop, whose parent is `span`, by default the request's own. `tunnel`: as of the names of the hop. */
  readonly fields: (headers: HeaderList, tunnel: string, span?: OpenSpan) => HeaderList
}

/** Begins the trace of each request, or goes on with the one that it is part of. */
export const requestTracing = (
  startSpan: StartSpan,
  name: string,
  { sampleRatio = 1, maxTracesPerSecond = 100, trustTraceContext = false }: TracingOptions,
): ((headers: HeaderList, attributes: () => SpanAttributes) => RequestTrace) => {
  const allowance = perSecond(maxTracesPerSecond)
  return (headers, attributes) => {
    const arrived = readTraceContext(headers)
    const wanted = trustTraceContext && arrived !== undefined ? arrived.sampled : Math.random() < sampleRatio
    const span =
      wanted && allowance() ? startSpan({ name, kind: "server", parent: arrived, attributes: attributes() }) : undefined
    const traceId = span?.traceId ?? arrived?.traceId ?? randomHex(32)
    const spanId = span?.spanId ?? randomHex(16)
    const own = { traceId, spanId, sampled: span !== undefined, state: arrived?.state ?? "" }
    const child =
      span &&
      ((name: string, attributes: SpanAttributes) => startSpan({ name, kind: "client", parent: span, attributes }))
    return {
      span,
      child,
      fields: (list, tunnel, by) =>
        withTraceContext(list, by === undefined ? own : { ...own, spanId: by.spanId }, tunnel),
    }
  }
}

/** Allows so many in each second, and no more. */
const perSecond = (max: number): (() => boolean) => {
  let until = 0
  let left = 0
  return () => {
    const now = monotonicNow()
    if (now >= until) {
      until = now + 1_000
      left = max
    }
    return left-- > 0
  }
}

const POOL_BYTES = 2_048
let pool: Uint8Array<ArrayBuffer> | undefined
let used = POOL_BYTES

/** Random hexadecimal digits. From a pool: a call for each would cost more than all the rest. */
const randomHex = (digits: 16 | 32): string => {
  const bytes = digits / 2
  if (used + bytes > POOL_BYTES) {
    pool = crypto.getRandomValues(pool ?? new Uint8Array(POOL_BYTES))
    used = 0
  }
  let text = ""
  for (const end = used + bytes; used < end; used++) text += HEX[pool![used]!]
  return text
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
