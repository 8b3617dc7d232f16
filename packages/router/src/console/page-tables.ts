import type { LayerStats } from "../stores/route-store.ts"
import { clipped, markup } from "./html.ts"
import type { Html } from "./html.ts"
import { duration, MAX_TEXT, section, tableOf } from "./page-section.ts"
import type { RecentError, RecentMachine, RecentSnapshot } from "./recent-events.ts"

/** The layers of the store with their ages, and whether look-ups work. */
export const storeTable = (
  layers: readonly LayerStats[],
  state: RecentSnapshot["store"] | undefined,
  max: number,
): Html => {
  const [head, tail] = tableOf("layer", "routes", "heard from its source")
  const failing =
    state?.state === "failing"
      ? markup`<p class="bad"><b>Look-ups fail</b>: ${clipped(state.reason ?? "", MAX_TEXT)}</p>`
      : undefined
  const rows = layers.map(({ layer, routes, ageMs }) => {
    const heard = ageMs === undefined ? undefined : `${duration(ageMs)} ago`
    return markup`<tr><td class="m">${clipped(layer, 100)}</td><td>${routes}</td><td>${heard}</td></tr>`
  })
  return section("Stores", [markup`${failing}${head}`, tail], rows, max)
}

/** Errors by code, each with its last request. */
export const errorTable = (errors: readonly RecentError[], max: number): Html => {
  if (errors.length === 0) return markup`<h2>Errors</h2><p class="note">None so far.</p>`
  const rows = errors.map(({ code, count, last: [last] }) => {
    const when = last && `${duration(Date.now() - last.at)} ago`
    const what = markup`${clipped(last?.host ?? "", 100)} <small>${clipped(last?.reason ?? "", 160)}</small>`
    return markup`<tr><td class="m bad">${clipped(code, 64)}</td><td>${count}</td><td>${when}</td><td>${what}</td></tr>`
  })
  return section("Errors", tableOf("code", "count", "last", "of"), rows, max)
}

/** Machines, those that fail first. */
export const machineTable = (machines: readonly RecentMachine[], max: number): Html => {
  if (machines.length === 0) return markup`<h2>Machines</h2><p class="note">None so far.</p>`
  const rows = machines
    .toSorted((a, b) => Number(isBad(b)) - Number(isBad(a)))
    .map((each) => {
      const { machine, externalId, provider, requests, failures, at, reason } = each
      const name = clipped(machine ?? externalId ?? "", 100)
      const bad = isBad(each)
      const why = markup`<small>${bad ? clipped(reason ?? "", 160) : undefined}</small>`
      return markup`<tr><td class="m">${name}</td><td>${clipped(provider, 60)}</td><td class="${bad ? "warn" : "m"}">${stateOf(each)}</td><td>${requests}, ${failures} failed</td><td>${duration(Date.now() - at)} ago</td><td>${why}</td></tr>`
    })
  const columns = ["machine", "provider", "state", "requests", "heard of", "why"]
  return section("Machines", tableOf(...columns), rows, max)
}

const isBad = ({ code, failing, health, wrongStamp }: RecentMachine): boolean =>
  wrongStamp === true || code !== undefined || failing !== undefined || health === "ejected" || health === "kept"

const stateOf = ({ code, failing, health, wrongStamp }: RecentMachine): string => {
  const states = [
    wrongStamp && "wrong stamp",
    failing && `${failing} fails`,
    health === "returned" ? undefined : health,
    code && clipped(code, 64),
  ]
  return states.filter((state) => state !== undefined).join(", ") || "responds"
}
