import { exportTraefik } from "@project-ingress/ingress/traefik"
import { describe, it } from "vitest"
import type { FrontOutcome, FrontRequest } from "../../src/testing/fronts/front-case.ts"
import { frontSuite } from "../../src/testing/fronts/front-suite.ts"
import { checkReport } from "../fronts/check-report.ts"
import { traefikOf } from "./interpreter.ts"

const names = ["a", "b", "c"]
const portOf = (target: string): number => 9000 + names.indexOf(target)

describe("Traefik as a front", () => {
  const report = frontSuite(it, {
    url: (target, scheme = "http") => `${scheme}://10.0.0.1:${portOf(target)}`,
    open: (ingresses) => {
      const { files, problems } = exportTraefik({ ingresses, address: () => undefined })
      if (problems.length > 0) throw new Error(JSON.stringify(problems))
      const traefik = traefikOf(files)
      return { ask: (request) => outcomeOf(request, traefik) }
    },
  })
  checkReport(it, "traefik", report)
})

const outcomeOf = (request: FrontRequest, traefik: ReturnType<typeof traefikOf>): FrontOutcome => {
  const { tls = false, host = "", path: target = "/", method = "GET", headers = {}, client = "127.0.0.1" } = request
  const { protocol = "http", port = tls ? 443 : 80 } = request
  const [path = ""] = target.split("?")
  const outcome = traefik({ protocol, port, tls, host, path, method, headers, client })
  if ("status" in outcome) {
    const { status, port: other } = outcome
    const location = `https://${host}${other === undefined ? "" : `:${other}`}${target}`
    return { status, ...(status === 301 ? { location } : {}) }
  }
  const { to, removed } = outcome
  // One visitor after another, as by weight.
  const turns = to.flatMap(([address, weight]) => Array.from({ length: weight }, () => address))
  const address = turns[Number(client.split(".").at(-1)) % turns.length]!
  const seen = Object.fromEntries(Object.entries(headers).filter(([name]) => !removed.includes(name)))
  const response = "response" in outcome ? outcome.response : {}
  const fields = Object.entries({ "x-powered-by": "a test", ...response }).filter(([, value]) => value !== "")
  return {
    target: names.find((name) => new RegExp(`:${portOf(name)}/?$`).test(address))!,
    status: 200,
    headers: Object.fromEntries(fields),
    seen,
  }
}
