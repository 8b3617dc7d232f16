import type { Explanation } from "../program/explanation.ts"
import { sentence } from "../program/trace.ts"
import type { TraceStep } from "../program/trace.ts"
import { clipped, markup } from "./html.ts"
import type { Html } from "./html.ts"
import { duration, MAX_TEXT, section } from "./page-section.ts"

/** The steps in their order, drawn as a road, and the place where it stops. */
export const road = (explanation: Explanation, max: number): Html => {
  const { trace, stop } = explanation
  const after = stop?.after ?? trace.length
  const steps = trace.map((step, at) => {
    const [kind, note] = at >= after ? behind : at === after - 1 && stop !== undefined ? stopped : kindOf(step)
    return markup`<li class="${kind}">${textOf(step)}<small>${note}</small></li>`
  })
  const head = markup`${endOf(explanation)}<ol class="road" aria-label="Steps">`
  return section("The way", [head, markup`</ol>`], steps, max)
}

const behind = ["behind", " (not reached)"] as const
const stopped = ["stop", " (it stops here)"] as const
const kindOf = (step: TraceStep): readonly [kind: string, note?: string] =>
  step.step === "policy" && step.decision === "not evaluated" ? ["skip"] : ["on"]

const endOf = ({ parsed, stop }: Explanation): Html => {
  if (parsed === "foreign") return markup`<div class="end"><b>Not ours</b>: left to the caller's own app.</div>`
  if (stop === undefined) {
    return markup`<div class="end"><b>Sent to the machine</b>, as far as can be said without touching it.</div>`
  }
  const { status, code, reason, location } = stop
  const why = clipped(reason ?? location ?? "", MAX_TEXT)
  return markup`<div class="end bad"><b>${status} ${code}</b> ${why}</div>`
}

/** Some steps need no sentence in a list of them, and are shown on the road all the same. */
const textOf = (step: TraceStep): string => {
  const text = sentence(step)
  if (text !== undefined) return clipped(text, MAX_TEXT)
  if (step.step === "record") return `its record leads to a machine, version ${step.version}, epoch ${step.epoch}`
  if (step.step !== "lookup") return step.step
  const age = step.ageMs === undefined ? "" : `, ${duration(step.ageMs)} old`
  return clipped(`${step.key} is known by ${step.layer ?? "the store"}${age}`, MAX_TEXT)
}

/** What is known of the port and of its machine. */
export const facts = ({ candidates, settings, provider }: Explanation, max: number): Html | undefined => {
  const { endpoint, status, circuit, budgets, isWaking = false, failures = [] } = provider ?? {}
  const known: readonly (readonly [name: string, text: string | undefined])[] = [
    ["keys looked up", candidates?.join(", ")],
    ["settings", settings && JSON.stringify(settings)],
    ["endpoint", endpoint && `${endpoint.origin}${endpoint.isStale ? ", past its time" : ""}`],
    ["key pinned", endpoint && (endpoint.isPinned ? "yes" : "no")],
    ["status", status && `${status.state}, ${duration(status.ageMs)} ago`],
    ["being started", isWaking ? "yes" : undefined],
    ["circuit", circuit && `open: ${circuit.error}, ${duration(circuit.retryAfterMs)} more`],
    ["calls left", budgets && `${budgets.failureCalls} after failures, ${budgets.vendorCalls} to the vendor`],
    ...failures.map(({ operation, reason }) => [`${operation} failed`, reason] as const),
  ]
  const rows = known.flatMap(([name, text]) =>
    text === undefined ? [] : [markup`<dt>${name}</dt><dd><code>${clipped(text, MAX_TEXT)}</code></dd>`],
  )
  return rows.length === 0 ? undefined : section("Port and machine", [markup`<dl>`, markup`</dl>`], rows, max)
}
