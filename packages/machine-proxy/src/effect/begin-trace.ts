import { methodLabel, requestTracing } from "@project-ingress/forward/internal"
import type { TracingOptions } from "@project-ingress/forward/internal"
import type * as Context from "effect/Context"
import type { BeginTrace } from "../begin-trace.ts"
import { machineProxyErrors } from "../error-rows.ts"
import { spanStarter } from "./span-starter.ts"

/** Makes spans of the tracer in `context`; `undefined` if there is none. `tunnel`: the prefix of fields that are restored here. */
export const traceBeginner = (
  context: Context.Context<never>,
  options: TracingOptions,
  tunnel: string,
): BeginTrace | undefined => {
  const start = spanStarter(context)
  if (start === undefined) return undefined
  const begin = requestTracing(start, "ingress.machine_proxy", options)
  return ({ method, headers, port }) => {
    const trace = begin(restored(headers, tunnel), () => ({
      "http.request.method": methodLabel(method),
      "ingress.port": port,
    }))
    return {
      // Restored by now, so that none is under the prefix.
      fields: (list) => trace.fields(list, tunnel),
      end: ({ status, failure }) => {
        const code =
          failure === undefined ? undefined : machineProxyErrors[failure as keyof typeof machineProxyErrors].code
        const seen = status === 0 ? undefined : status
        trace.span?.end(
          { "http.response.status_code": seen, "error.type": failure, "ingress.code": code },
          failure ?? (status >= 500 ? String(status) : undefined),
        )
      },
    }
  }
}

/** The fields with those of the trace as the router sent them, where a platform on the way would have changed them. */
const restored = (headers: readonly string[], tunnel: string): readonly string[] => {
  const parent = `${tunnel}traceparent`
  const state = `${tunnel}tracestate`
  const found = headers.flatMap((name, at) => {
    const lower = at % 2 === 0 ? name.toLowerCase() : ""
    return lower === parent || lower === state ? [lower.slice(tunnel.length), headers[at + 1]!] : []
  })
  return found.length === 0 ? headers : found
}
