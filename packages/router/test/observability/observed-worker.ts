/** A Worker whose router is observed: made while the module is loaded, as Workers are. */
import { defineGrammar } from "@project-ingress/hostname"
import { url } from "@project-ingress/providers/url"
import { createRouter } from "@project-ingress/router"
import { observe, otlp } from "@project-ingress/router/observability"
import { memoryStore } from "@project-ingress/router/stores/memory"

interface Environment {
  readonly COLLECTOR: string
}

let made: ReturnType<typeof make> | undefined

const make = ({ COLLECTOR }: Environment) => {
  const observed = observe({
    log: { write: false },
    export: otlp({ url: COLLECTOR, temporality: "delta" }),
  })
  const router = createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({}),
    providers: [url()],
    signingKey: { kty: "oct", alg: "HS256", kid: "k", k: "a".repeat(43) },
    onEvent: observed.onEvent,
    instrument: observed.instrument,
  })
  return { observed, router }
}

// While the module is loaded there are neither timers nor random numbers: nothing of this may need them.
observe({ export: otlp({ url: "http://127.0.0.1:1" }) })

export default {
  fetch: async (
    request: Request,
    environment: Environment,
    context: { waitUntil: (work: Promise<unknown>) => void },
  ) => {
    const { observed, router } = (made ??= make(environment))
    if (new URL(request.url).pathname === "/metrics") return observed.metricsResponse()
    const traceparent = request.headers.get("traceparent") ?? ""
    const response = await router.fetch(
      new Request("https://misha.iterate.app/", { headers: { traceparent } }),
      context,
    )
    context.waitUntil(observed.flush())
    return response ?? new Response("not ours", { status: 404 })
  },
}
