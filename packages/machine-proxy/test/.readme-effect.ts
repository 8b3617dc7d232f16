import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import { layerConfig } from "@project-ingress/machine-proxy/effect"

const otlp = Otlp.layerJson({ baseUrl: "http://localhost:4318", resource: { serviceName: "machine-proxy" } })
const main = layerConfig().pipe(Layer.provide(otlp), Layer.provide(FetchHttpClient.layer), Layer.launch)

// Listens until it is interrupted; then it drains.
const stop = new AbortController()
process.once("SIGTERM", () => stop.abort())
await Effect.runPromise(main, { signal: stop.signal }).catch((error: unknown) => {
  if (!stop.signal.aborted) throw error
})
