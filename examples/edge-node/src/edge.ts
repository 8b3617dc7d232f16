/**
 * One region's edge: a router over all routes in memory, which follows the registry in Postgres, and sends what belongs to another region
 * there.
 */
import type { SigningKey } from "@project-ingress/forward"
import { upstream } from "@project-ingress/providers/upstream"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { regions } from "@project-ingress/router/regions"
import { fileState } from "@project-ingress/router/stores/file-state"
import { tableStore } from "@project-ingress/router/stores/table"
import { grammar } from "./grammar.ts"
import { required } from "./required.ts"
import { openRegistry } from "./registry.ts"

const region = required("REGION", "fra")
// `iad=https://iad.ingress.example.com,syd=http://10.9.0.5:8080`
const balancers = Object.fromEntries(
  required("BALANCERS", "iad=http://127.0.0.1:8102")
    .split(",")
    .map((each) => each.split("=", 2)),
) as Readonly<Record<string, string>>
const signingKey = JSON.parse(required("SIGNING_KEY", "what `keys` printed")) as SigningKey
const state = fileState(required("STATE", "fra.packed"))

const { registry, close } = openRegistry(
  required("DATABASE_URL", "postgres://user@127.0.0.1/ingress"),
  Number(process.env["POLL_MS"] ?? 1_000),
)
const store = tableStore(registry, {
  state,
  authority: registry,
  onEvent: ({ state, reason, routes, ageMs }) => {
    const known = routes === undefined ? "no routes" : `${routes} routes, ${Math.round(ageMs! / 1_000)} s old`
    console.log(`${region}: routes ${state}: ${known}${reason === undefined ? "" : `: ${reason}`}`)
  },
})

const router = createRouter({
  grammar,
  store,
  // The apps of this example listen on this computer; those of a platform in its own network.
  providers: [upstream({ allowCidrs: ["127.0.0.0/8"] })],
  signingKey,
  regions: regions({ self: region, balancers }),
  onEvent: (event) => {
    if (event.type === "region") console.log(`${region}: ${event.outcome}: ${event.reason}`)
    if (event.type !== "request") return
    const way = event.trace.find((step) => step.step === "region")?.reason ?? ""
    console.log(
      `${region}: ${event.status} ${event.method} ${event.host} for ${event.clientAddress}: ${event.reason ?? way}`,
    )
  },
})
const host = serveNode(router, { trustedProxies: [] })

const stopped = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort())

try {
  // Until there is a route, from Postgres or from the file: whoever balances the load asks the other edges meanwhile.
  await store.waitUntilLoaded({ signal: stopped.signal })
  const listening = await host.listen({ port: Number(process.env["PORT"] ?? 0), hostname: "127.0.0.1" })
  console.log(`${region}: http://127.0.0.1:${listening.port}`)
  if (!stopped.signal.aborted) await new Promise((resolve) => stopped.signal.addEventListener("abort", resolve))
  await listening.close({ graceMs: 0 })
} catch (cause) {
  if (!stopped.signal.aborted) throw cause
}
store.dispose()
await close()
