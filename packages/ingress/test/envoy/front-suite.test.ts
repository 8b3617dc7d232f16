import { describe, it } from "vitest"
import { exportEnvoy } from "../../src/envoy.ts"
import type { FrontOutcome, FrontRequest } from "../../src/testing/fronts/front-case.ts"
import { frontSuite } from "../../src/testing/fronts/front-suite.ts"
import { checkReport } from "../fronts/check-report.ts"
import { assertMessage } from "./envoy-api.ts"
import { interpret } from "./interpret-envoy.ts"
import type { Outcome } from "./interpret-envoy.ts"

const certificates = { "*.example.com": { certFile: "/tls/a.pem", keyFile: "/tls/a.key" } }
const names = ["a", "b", "c"]
const portOf = (target: string): number => 8001 + names.indexOf(target)

interface Cluster {
  readonly name: string
  readonly load_assignment: {
    readonly endpoints: readonly {
      readonly load_balancing_weight?: number
      readonly lb_endpoints: readonly [
        { readonly endpoint: { readonly address: { readonly socket_address: { readonly port_value: number } } } },
      ]
    }[]
  }
}

/** The targets of a cluster, as often as their weight. */
const targetsOf = (configuration: unknown, name: string): readonly string[] => {
  const { clusters } = (configuration as { static_resources: { clusters: readonly Cluster[] } }).static_resources
  const { load_assignment: assignment } = clusters.find((each) => each.name === name)!
  return assignment.endpoints.flatMap(({ load_balancing_weight: weight = 1, lb_endpoints: [{ endpoint }] }) =>
    Array.from({ length: weight }, () => names[endpoint.address.socket_address.port_value - portOf("a")]!),
  )
}

describe("Envoy as a front", () => {
  const report = frontSuite(it, {
    url: (target, scheme = "http") => `${scheme}://10.0.0.1:${portOf(target)}`,
    open: (ingresses) => {
      const options = { mode: "static", format: "json", certificates } as const
      const { files, problems } = exportEnvoy({ ingresses, address: () => undefined }, options)
      if (problems.length > 0) throw new Error(`${problems[0]!.field} ${problems[0]!.reason}`)
      const configuration: unknown = JSON.parse(files[0]!.text)
      assertMessage("envoy.config.bootstrap.v3.Bootstrap", configuration)
      let turn = 0
      /** Each share has its turn. */
      const next = (clusters: readonly string[]): string => {
        const shares = clusters.flatMap((name) => targetsOf(configuration, name))
        return shares[turn++ % shares.length]!
      }
      return { ask: (request) => outcomeOf(request, interpret(configuration, visitOf(request)), next) }
    },
  })
  checkReport(it, "envoy", report)
})

const visitOf = (request: FrontRequest) => {
  const { protocol = "http", tls = false, port = tls ? 443 : 80, host = "", client = "127.0.0.1" } = request
  const { path = "/", method = "GET", headers = {} } = request
  const visit = { port, host, client, path, method, headers, udp: protocol === "udp" }
  // A browser's server name is its hostname.
  return tls ? { ...visit, sni: host } : visit
}

const outcomeOf = (
  { headers = {} }: FrontRequest,
  outcome: Outcome,
  next: (clusters: readonly string[]) => string,
): FrontOutcome => {
  if (outcome.kind === "status") return { status: outcome.status }
  if (outcome.kind === "redirect") return { status: 301, location: outcome.to }
  if (outcome.kind !== "clusters") return {}
  const { removed, response = { set: {}, removed: [] } } = outcome
  return {
    target: next(outcome.names),
    status: 200,
    seen: without(headers, removed),
    headers: { ...without({ "x-powered-by": "a test" }, response.removed), ...response.set },
  }
}

const without = (fields: Readonly<Record<string, string>>, removed: readonly string[]) =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !removed.includes(name)))
