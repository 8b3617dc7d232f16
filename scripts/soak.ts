/**
 * Many requests of many tenants at once through the whole chain, a quarter of the tenants hostile, and each response judged: whatever
 * belongs to another request has crossed. Load goes to loopback only.
 *
 *     pnpm soak                              1 000 000 requests over 100 tenants: about a quarter of an hour
 *     pnpm soak --requests 20000
 *     pnpm soak --by http2                   over connections of HTTP/2 with a hundred requests each; mount: into a server of node:http
 *     pnpm soak --idle-websockets 9000       what an open, silent WebSocket costs in memory
 *
 * Three processes: the router on sockets, the machine proxies, the apps. Of eight tenants, one has a hostile app and one a hostile
 * program in place of its machine proxy (`test/abuse/hostile-root.ts`). Kinds of requests: GET, HEAD, posts with a length and
 * in chunks, streams, WebSockets, uploads and event streams that the client leaves. All tenants share the client's connections.
 *
 * Each response says whose it is, those of hostile programs too. One that came to another request has crossed; from a hostile machine
 * to another request of the same machine it counts apart, and is allowed only if a late response explains it (`traffic.ts`).
 *
 * The bounds are the defaults, but for the number of connections. Those of each client are off, as behind any proxy on a private
 * address without `trustedProxies`; those of projects and machines are on. A request has a minute for its response: load makes it
 * slow, and is to make none fail.
 *
 * Exit code 1: something crossed, strayed to another tenant's app or was sent twice; a process ended; or fewer than 99.9 % of the
 * honest tenants' requests had their response. Linux only: memory comes from /proc.
 *
 * Idle WebSockets: resident memory (`VmRSS`) of the router's and the machine proxies' processes, each all tenants' in one, after two
 * full collections and 3 s of rest, before and after the WebSockets are open, divided by their number. 200 are opened and closed
 * before the first reading. The kernel's socket buffers are not in it. The processes run with `--max-semi-space-size=1`, so that
 * what V8 sets aside for young objects is not counted as theirs.
 */
import { parseArgs } from "node:util"
import { startSoakChain } from "./soak/chain.ts"
import type { SoakChain } from "./soak/chain.ts"
import { outcomes, unexplained } from "./soak/judge.ts"
import type { Finding, Outcome } from "./soak/judge.ts"
import { holdWebSockets } from "./soak/idle-websockets.ts"
import { tenantsOf, waysIn } from "./soak/tenant.ts"
import type { Tenant, WayIn } from "./soak/tenant.ts"
import { runTraffic } from "./soak/traffic.ts"

const help = `pnpm soak [options]

  --requests n           1000000
  --tenants n            100; at most 1000
  --rate n               requests a second, at most; 1500
  --by way               sockets; http2: eight connections of HTTP/2; mount: a server of node:http, whose app is one tenant more
  --idle-websockets n    opens so many WebSockets instead, and measures memory`

const PROGRESS_MS = 5_000

/** How much of a response that was not the request's own is shown. */
const SHOWN_BYTES = 500

/** At most, in KiB of resident memory for each idle WebSocket. */
const IDLE_LIMITS: Readonly<Record<string, number>> = { router: 12, machines: 9 }

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000000" },
    tenants: { type: "string", default: "100" },
    rate: { type: "string", default: "1500" },
    by: { type: "string", default: "sockets" },
    "idle-websockets": { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
})

const integer = (name: string, value: string, most: number): number => {
  const number = Number(value)
  if (Number.isInteger(number) && number >= 1 && number <= most) return number
  console.error(`--${name} must be an integer from 1 to ${most}, got ${value}`)
  return process.exit(1)
}

const way = (value: string): WayIn => {
  const found = waysIn.find((each) => each === value)
  if (found !== undefined) return found
  console.error(`--by must be ${waysIn.join(", ")}, got ${value}`)
  return process.exit(1)
}

const soak = async (requests: number, count: number, rate: number, by: WayIn): Promise<readonly string[]> => {
  await using chain = await startSoakChain(tenantsOf(count, false), requests, { by })
  const totals = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>
  const honest = { sent: 0, failed: 0 }
  let done = 0
  const started = performance.now()
  const line = () => {
    const seconds = (performance.now() - started) / 1_000
    const counts = outcomes.map((outcome) => `${outcome} ${totals[outcome]}`).join(", ")
    console.log(
      `${seconds.toFixed(0).padStart(5)} s  ${done} of ${requests}, ${Math.round(done / seconds)}/s: ${counts}`,
    )
  }
  const progress = setInterval(line, PROGRESS_MS)
  const desynced: Finding[] = []
  const onFinding = (finding: Finding) => {
    if (finding.outcome === "desynced") desynced.push(finding)
    else show(finding)
  }
  const onOutcome = (outcome: Outcome, { role }: Tenant) => {
    done++
    totals[outcome]++
    if (role !== "honest") return
    honest.sent++
    if (outcome !== "responded" && outcome !== "cancelled") honest.failed++
  }
  await runTraffic(chain, chain.tenants, { count: requests, rate }, onOutcome, onFinding)
  clearInterval(progress)
  line()
  const ended = chain.processes.filter((process) => !process.alive()).map(({ name }) => name)
  const { seen, strayed, repeated } = await chain.appsReport()
  const success = (1 - honest.failed / honest.sent) * 100
  console.log(`honest tenants: ${honest.sent} requests, ${success.toFixed(3)} % had their response`)
  const surplus = unexplained(desynced)
  surplus.forEach(show)
  console.log(`hostile tenants: ${desynced.length} responses came to another request of the same tenant`)
  console.log(
    `  ${desynced.length - surplus.length} because one was sent late, as its root may always do; ${surplus.length} otherwise`,
  )
  console.log(`apps: ${seen} requests seen, ${strayed} strayed to another tenant, ${repeated} posts came twice`)
  memory(chain)
  return [
    ...(totals.crossed > 0 ? [`${totals.crossed} responses crossed`] : []),
    ...(surplus.length > 0 ? [`${surplus.length} responses of hostile tenants came to another request`] : []),
    ...(strayed > 0 ? [`${strayed} requests came to another tenant's app`] : []),
    ...(repeated > 0 ? [`${repeated} posts came twice`] : []),
    ...(seen > requests * 2 ? ["the apps saw more requests than retries explain"] : []),
    ...(success < 99.9 ? [`only ${success.toFixed(3)} % of the honest tenants' requests had their response`] : []),
    ...ended.map((name) => `the process ${name} ended`),
  ]
}

/** A response that was not the request's own, with what it said. */
const show = ({ sent: { tenant, kind, token }, outcome, text }: Finding): void =>
  console.log(`${outcome}: ${kind} of ${tenant.role} ${token}: ${JSON.stringify(text.slice(0, SHOWN_BYTES))}`)

const memory = ({ processes }: SoakChain): void => {
  for (const { name, resident, started } of processes) {
    const { now, peak } = resident()
    const [at, end, most] = [started.now, now, peak].map((kib) => `${Math.round(kib / 1_024)} MiB`)
    console.log(`memory of ${name}: ${at} at the start, ${end} at the end, ${most} at most`)
  }
}

const idle = async (webSockets: number, count: number): Promise<readonly string[]> => {
  const tenants = tenantsOf(count, true)
  await using chain = await startSoakChain(tenants, webSockets)
  const { open, costs, crossed } = await holdWebSockets(chain, tenants, webSockets)
  console.log(`${open} WebSockets open and silent; each costs`)
  for (const { process, residentKiB, heapKiB } of costs) {
    const limit = IDLE_LIMITS[process]!
    console.log(
      `  ${process}: ${residentKiB.toFixed(1)} KiB resident (at most ${limit}), ${heapKiB.toFixed(1)} KiB of heap`,
    )
  }
  console.log(`then each echoed its own token, ${crossed} did not`)
  return [
    ...costs
      .filter(({ process, residentKiB }) => residentKiB > IDLE_LIMITS[process]!)
      .map(({ process }) => `an idle WebSocket costs ${process} too much`),
    ...(crossed > 0 ? [`${crossed} WebSockets echoed something else`] : []),
  ]
}

if (values.help) console.log(help)
else {
  const tenants = integer("tenants", values.tenants, 1_000)
  const webSockets = values["idle-websockets"]
  const problems =
    webSockets === undefined
      ? await soak(
          integer("requests", values.requests, 100_000_000),
          tenants,
          integer("rate", values.rate, 100_000),
          way(values.by),
        )
      : await idle(integer("idle-websockets", webSockets, 30_000), tenants)
  for (const problem of problems) console.log(`FAILED: ${problem}`)
  console.log(problems.length === 0 ? "passed: nothing crossed" : "failed")
  process.exitCode = problems.length === 0 ? 0 : 1
}
