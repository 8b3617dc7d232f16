import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

/** A span as OTLP has it, with its attributes as an object. */
export interface ExportedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly status: { readonly code: number; readonly message?: string }
  readonly events: readonly { readonly name: string }[]
  readonly attributes: Readonly<Record<string, unknown>>
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
}

/** An OTLP/HTTP collector on loopback that keeps what it is sent. */
export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly requests: { readonly path: string; readonly headers: Record<string, unknown>; readonly body: string }[]
  readonly spans: () => ExportedSpan[]
  readonly metricNames: () => string[]
  readonly logBodies: () => { readonly severity: string; readonly body: string; readonly text: string }[]
}

type KeyValue = { readonly key: string; readonly value: Readonly<Record<string, unknown>> }
const attributesOf = (list: readonly KeyValue[]) =>
  Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))

// oxlint-disable-next-line typescript/no-explicit-any -- JSON of another party
type Json = any

export const startCollector = async (respond: () => number = () => 200): Promise<Collector> => {
  const requests: Collector["requests"] = []
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      requests.push({ path: request.url!, headers: request.headers, body })
      const status = request.url === "/elsewhere" ? 200 : respond()
      response.writeHead(status, { "content-type": "application/json", location: "/elsewhere" }).end("{}")
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const parsed = (path: string): Json[] =>
    requests.filter((request) => request.path === path).map(({ body }) => JSON.parse(body))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    spans: () =>
      parsed("/v1/traces")
        .flatMap((data) => data.resourceSpans)
        .flatMap((resource) => resource.scopeSpans)
        .flatMap((scope) => scope.spans)
        .map((span) => Object.assign({}, span, { attributes: attributesOf(span.attributes) })),
    metricNames: () => [
      ...new Set<string>(
        parsed("/v1/metrics")
          .flatMap((data) => data.resourceMetrics)
          .flatMap((resource) => resource.scopeMetrics)
          .flatMap((scope) => scope.metrics)
          .map(({ name }) => name),
      ),
    ],
    logBodies: () =>
      parsed("/v1/logs")
        .flatMap((data) => data.resourceLogs)
        .flatMap((resource) => resource.scopeLogs)
        .flatMap((scope) => scope.logRecords)
        .map((record) => ({
          severity: record.severityText,
          body: record.body.stringValue,
          text: JSON.stringify(record.attributes),
        })),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}
