import type { SpanAttributes, StartSpan } from "@project-ingress/forward/internal"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** Begins spans of the tracer in `context`; `undefined` if nobody gave one, and they would lead nowhere. */
export const spanStarter = (context: Context.Context<never>): StartSpan | undefined => {
  const tracer = Context.get(context, Tracer.Tracer)
  if (tracer === Tracer.nativeTracer) return undefined
  const clock = Context.get(context, Clock.Clock)
  return ({ name, kind, parent, attributes }) => {
    const span = tracer.span({
      name,
      kind,
      parent: parent === undefined ? Option.none() : Option.some(Tracer.externalSpan(parent)),
      annotations: Context.empty(),
      links: [],
      startTime: clock.currentTimeNanosUnsafe(),
      root: parent === undefined,
      sampled: true,
    })
    const add = (given: SpanAttributes): void => {
      for (const name in given) if (given[name] !== undefined) span.attribute(name, given[name])
    }
    add(attributes)
    return {
      traceId: span.traceId,
      spanId: span.spanId,
      event: (name, given) => span.event(name, clock.currentTimeNanosUnsafe(), given),
      end: (given, failure) => {
        add(given)
        span.end(
          clock.currentTimeNanosUnsafe(),
          failure === undefined ? Exit.void : Exit.fail(new RequestFailed(failure)),
        )
      },
    }
  }
}

/** What an exporter shows of a failed request: no stack, which would lead into this package. */
class RequestFailed extends Error {
  override readonly name = "RequestFailed"
  override readonly stack = ""
}
