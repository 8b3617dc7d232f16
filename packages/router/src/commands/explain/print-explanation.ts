import type { Explanation } from "../../program/explanation.ts"
import { shown } from "../doctor/check-response.ts"

/** For people: the steps, the place where it stops, and what is known of the machine. */
export const explanationText = ({ hostname, steps, stop, parsed, provider, settings }: Explanation): string => {
  const { endpoint, status, circuit, failures = [], isWaking = false } = provider ?? {}
  const facts = [
    settings !== undefined && Object.keys(settings).length > 0 ? `settings ${JSON.stringify(settings)}` : undefined,
    endpoint && `endpoint ${endpoint.origin}${endpoint.isStale ? ", past its time" : ""}`,
    status && `status ${status.state}, ${Math.round(status.ageMs / 1_000)} s ago`,
    isWaking ? "being started" : undefined,
    circuit && `the vendor is not called: ${circuit.error}`,
    ...failures.map(({ operation, reason }) => `${operation} failed: ${reason}`),
  ]
  const lines = [...steps, ...facts.filter((fact) => fact !== undefined)].map((line) => `  ${shown(line)}`)
  return [shown(hostname), ...lines, endOf(parsed, stop), ""].join("\n")
}

const endOf = (parsed: Explanation["parsed"], stop: Explanation["stop"]): string => {
  if (parsed === "foreign") return "Not ours: left to the fallback."
  if (stop === undefined) return "Sent to the machine, as far as can be said without touching it."
  const why = stop.reason ?? stop.location
  return `Ends with ${stop.status}${stop.code === undefined ? "" : ` ${stop.code}`}${why === undefined ? "" : `: ${shown(why)}`}`
}

/** 0 if it leads to a machine, else 1. */
export const exitCodeOfExplanation = ({ parsed, stop }: Explanation): number =>
  parsed === "foreign" || stop !== undefined ? 1 : 0
