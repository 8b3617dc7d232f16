import { shown } from "./check-response.ts"
import { error, ok, warning } from "./finding.ts"
import type { Finding } from "./finding.ts"
import { readConsole } from "../read-console.ts"
import type { ConsoleAccess } from "../read-console.ts"
import { remedyFor } from "./remedies.ts"

/** What the router itself says of the hostname, by the JSON of its console: what no visitor is shown. */
export const checkConsole = async (url: URL, access: ConsoleAccess, timeoutMs: number): Promise<readonly Finding[]> => {
  const read = await readConsole(access, url.href, timeoutMs)
  if ("problem" in read) {
    return [
      warning(
        "CONSOLE_FAILED",
        `console ${access.url.host}`,
        `${read.problem}.`,
        "Correct --console and INGRESS_CONSOLE_TOKEN: the console's authorize decides who gets its JSON.",
      ),
    ]
  }
  const { explanation, recent } = read.data
  if (explanation === undefined) return []
  const resource = `explain ${url.host}`
  const { stop, key, layer, ageMs, stale, provider, parsed, machine, port } = explanation
  const findings: Finding[] = []
  if (parsed === "foreign") {
    findings.push(
      error(
        "NOT_OURS",
        resource,
        "The router leaves this hostname to its fallback: it is under no domain of the grammar, and no custom domain.",
        "Add the domain to the grammar, or verify the custom domain.",
      ),
    )
  } else if (stop === undefined) {
    findings.push(
      ok(
        "ROUTE_LEADS",
        resource,
        `${key} leads to port ${port} of machine ${shown(machine?.id ?? "")}${layer === undefined ? "" : `, as ${shown(layer)} knows`}${ageMs === undefined ? "" : ` since ${Math.round(ageMs / 1_000)} s`}.`,
      ),
    )
  } else if (stop.code !== undefined) {
    findings.push(error(stop.code, resource, shown(stop.reason ?? `${stop.status}`), remedyFor(stop.code)))
  }
  if (stale === true)
    findings.push(
      warning(
        "ROUTE_STALE",
        resource,
        `The route is ${Math.round((ageMs ?? 0) / 1_000)} s old, and nothing newer can be had.`,
        "Look at the route store: its authority or its feed cannot be reached.",
      ),
    )
  if (provider?.circuit !== undefined)
    findings.push(
      error(
        "CIRCUIT_OPEN",
        resource,
        `The vendor refuses calls (${provider.circuit.error}), so that none is made.`,
        remedyFor("PROVIDER_AUTH"),
      ),
    )
  for (const { operation, reason } of provider?.failures ?? []) {
    findings.push(
      warning(
        "MACHINE_FAILED",
        resource,
        `${operation} failed: ${shown(reason)}`,
        "Look at the machine at its provider.",
      ),
    )
  }
  if (recent?.machines.some((each) => each.wrongStamp === true && each.machine === machine?.id) === true) {
    const what = "What responds at the machine's address proves itself by another key than this router's machines have."
    findings.push(error("WRONG_KEY", resource, what, remedyFor("MACHINE_UNPROVEN")))
  }
  if (recent?.store.state === "failing")
    findings.push(
      error(
        "STORE_FAILING",
        resource,
        `Look-ups fail: ${shown(recent.store.reason ?? "")}`,
        remedyFor("ROUTE_UNKNOWN"),
      ),
    )
  return findings
}
