/**
 * What attacks cost a vendor and another tenant: vendor calls per request, the other tenant's success, and the vendor calls
 * that its first visits caused (1 is what they need). Counts only, so one run is enough.
 *
 *     node --conditions=@project-ingress/source packages/providers/bench/vendor-calls.ts
 */
import { attacks } from "../test/vendor-calls.ts"

console.log("| attack | calls/request | other tenant served | its calls for each first visit |")
console.log("| --- | --- | --- | --- |")
for (const [name, run] of Object.entries(attacks)) {
  const { requests, calls, neighbour } = await run()
  const served = `${((100 * neighbour.served) / neighbour.requests).toFixed(1)} %`
  const theirs = (neighbour.calls / neighbour.firstVisits).toFixed(2)
  console.log(`| ${name} | ${(calls / requests).toFixed(4)} | ${served} | ${theirs} |`)
}
