// pnpm bench: the machine proxy beside its peers, round by round. See README.md for the method.
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { cpus, loadavg, release, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { generateTicketKeys, signTicket } from "../packages/forward/src/forward.ts"
import { holdSockets, loadHttp, loadSockets, probe, wrkVersion } from "./load.ts"
import type { Idle, Load, Sample } from "./load.ts"
import { httpOrigin } from "./origin/http.ts"
import { isInstalled, peers } from "./peers.ts"
import type { Peer, Place } from "./peer.ts"
import { targetHeader, ticketHeader } from "./peers/job.ts"
import { listening, openFiles, otherWork, start, stop, stopAllAtExit } from "./processes.ts"
import type { Child } from "./processes.ts"
import { fill, otherScenarios, scenarios } from "./scenarios.ts"
import type { Fields, Scenario } from "./scenarios.ts"
import { idleTable, scenarioTable, summaryTable } from "./table.ts"
import type { Rounds } from "./table.ts"
import { outcomes, targetList } from "./targets.ts"

const help = `pnpm bench [options]

  --only a,b            peers: ${peers.map(({ name }) => name).join(", ")}
  --scenarios a,b       ${[...scenarios.map(({ name }) => name), ...otherScenarios].join(", ")}
  --rounds n            2
  --seconds n           of each peer in each round; 1
  --connections n       of wrk and of the WebSocket scenario; 64
  --idle-websockets n   10000, of which as many are opened as the limit of open files allows
  --json file           every sample

Quick: pnpm bench --only nginx,ours,bare. All peers and scenarios take about four minutes.`

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    scenarios: { type: "string" },
    rounds: { type: "string", default: "2" },
    seconds: { type: "string", default: "1" },
    connections: { type: "string", default: "64" },
    "idle-websockets": { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
})

const give = (message: string): never => {
  console.error(message)
  process.exit(1)
}
const count = (name: "rounds" | "seconds" | "connections" | "idle-websockets", value: string, most: number): number => {
  const number = Number(value)
  return Number.isInteger(number) && number >= 1 && number <= most
    ? number
    : give(`--${name}: 1 to ${most}, got ${value}`)
}
const listed = (name: string, value: string | undefined, known: readonly string[]): readonly string[] | undefined => {
  const list = value?.split(",").map((item) => item.trim())
  const wrong = list?.find((item) => !known.includes(item))
  return wrong === undefined ? list : give(`--${name}: ${JSON.stringify(wrong)} is none of ${known.join(", ")}`)
}

if (values.help) {
  console.log(help)
  process.exit(0)
}
const rounds = count("rounds", values.rounds, 100)
const seconds = count("seconds", values.seconds, 60)
const connections = count("connections", values.connections, 1_000)
const idleAsked = count("idle-websockets", values["idle-websockets"] ?? "10000", 30_000)
const only = listed(
  "only",
  values.only,
  peers.map(({ name }) => name),
)
const allScenarios: readonly string[] = [...scenarios.map(({ name }) => name), ...otherScenarios]
const chosen = new Set(listed("scenarios", values.scenarios, allScenarios) ?? allScenarios)
if (values["idle-websockets"] !== undefined) chosen.add("idle-websockets")

if (process.platform !== "linux") give("The benchmark reads CPU time and memory from /proc: it runs on Linux only.")
for (const program of ["wrk", "nginx"]) {
  if (!isInstalled(program))
    give(`${program} is needed (load, and the app behind the peers): apt-get install wrk nginx`)
}

const here = new URL(".", import.meta.url).pathname
const parse = "packages/hostname/bench/parse.ts"
const runParse = (): void => {
  console.log(`\n## parse: the hostname grammar, node ${parse}\n`)
  spawnSync(process.execPath, [join(here, "..", parse)], { stdio: "inherit", timeout: 120_000 })
}
if ([...chosen].every((name) => name === "parse")) {
  runParse()
  process.exit(0)
}

const wanted = peers.filter(({ name, onDemand }) => (only === undefined ? onDemand !== true : only.includes(name)))
const absent: string[] = []
const present = wanted.filter(({ name, needs }) => {
  if (needs === undefined || isInstalled(needs.program)) return true
  absent.push(`${name}: ${needs.program} is not installed; apt-get install ${needs.debian}`)
  return false
})

// The peers from npm are no dependency of the repository: nobody who builds it should download them.
if (!existsSync(join(here, "node_modules/.package-lock.json"))) {
  console.log("Installing the peers from npm into bench/node_modules, once …")
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  const { status } = spawnSync("npm", args, { cwd: here, stdio: "inherit", timeout: 300_000 })
  if (status !== 0) give(`npm ci in ${here} failed`)
}

// nginx started by root works as another user, who must get in.
const folder = (prefix: string): string => {
  const path = mkdtempSync(prefix)
  chmodSync(path, 0o755)
  return path
}
const directory = folder(join(tmpdir(), "project-ingress-bench-"))
stopAllAtExit(() => rmSync(directory, { recursive: true, force: true }))

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const files = openFiles()
const machine = "mach_bench"
const keys = await generateTicketKeys("bench")
const origin = await freePort()
const webSocketOrigin = await freePort()
const http = scenarios.filter(({ name }) => chosen.has(name))
// Generous: what a run takes is known, and a child that outlives it is a bug of ours.
const life = Math.ceil(present.length * (http.length + 1) * (rounds * (seconds + 1) + 2) + present.length * 40 + 120)

/** The fields of a request. A ticket lives for a minute, so each load has its own. */
const fieldsFor = async (to: number, octets?: number): Promise<Fields> => {
  const ticket = await signTicket(keys.signing, { machine })
  const fields: Fields = [
    [targetHeader, `${to}__misha.iterate.app`],
    [ticketHeader, ticket],
  ]
  return octets === undefined ? fields : fill(fields, octets)
}

interface Running {
  readonly peer: Peer
  readonly place: Place
  readonly child: Child
}
const begin = async (peer: Peer): Promise<Running | string> => {
  const place: Place = {
    directory: folder(join(directory, `${peer.name}-`)),
    port: await freePort(),
    webSocketPort: await freePort(),
    origin,
    webSocketOrigin,
    openFiles: files,
    keys: JSON.stringify([keys.verification]),
    machine,
  }
  try {
    const child = start(peer.command(place), life)
    const ready = await listening(child, place.port, 15_000)
    if (ready) return { peer, place, child }
    await stop(child)
    return `${peer.name}: did not start: ${child.complaint().slice(-300)}`
  } catch (error) {
    return `${peer.name}: did not start: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`
  }
}

const versions = `Node ${process.versions.node}, ${wrkVersion()}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}`
console.log(
  `${versions}\n${rounds} rounds × ${seconds} s × ${connections} connections; medians; ratios within a round\n`,
)

const [busy = 0] = loadavg()
if (busy > 0.5)
  console.log(
    `busy    The load average was ${busy.toFixed(1)} before the run: other work takes part in p99 and requests/s.`,
  )

const app = start(httpOrigin(directory, origin, files), life)
if (!(await listening(app, origin, 5_000))) give(`nginx did not start as origin: ${app.complaint()}`)
const echo = start(
  {
    file: process.execPath,
    args: [new URL("./origin/websocket.ts", import.meta.url).pathname],
    env: { PORT: String(webSocketOrigin) },
  },
  life,
)
if (!(await listening(echo, webSocketOrigin, 10_000))) give(`the WebSocket origin did not start: ${echo.complaint()}`)

const running: Running[] = []
for (const peer of present) {
  const begun = await begin(peer)
  if (typeof begun === "string") absent.push(begun)
  else running.push(begun)
}
for (const line of absent) console.log(`absent  ${line}`)
if (running.length === 0) give("No peer is left to measure.")

// A figure for tickets is worth nothing if nobody looks at them.
const ours = running.find(({ peer }) => peer.name === "ours")
const [first] = scenarios
if (ours !== undefined && first !== undefined) {
  const [target] = await fieldsFor(origin)
  const [status] = await probe(ours.place.port, first, target === undefined ? [] : [target])
  if (status < 400) give(`ours answered ${status} to a request without a ticket`)
  console.log(`ours answers ${status} without a ticket, and verifies one (EdDSA) on each request below`)
}

const proves = async ({ place, peer }: Running, scenario: Scenario, fields: Fields): Promise<boolean> => {
  try {
    const [status, octets] = await probe(place.port, scenario, fields)
    if (status === 200 && octets === scenario.answer) return true
    absent.push(
      `${peer.name}: in ${scenario.name} answered ${status} with ${octets} octets, not 200 with ${scenario.answer}`,
    )
  } catch (error) {
    absent.push(`${peer.name}: in ${scenario.name}: ${error instanceof Error ? error.message : String(error)}`)
  }
  console.log(`absent  ${absent.at(-1)}`)
  return false
}

let cold = true
const interleave = async (
  members: readonly Running[],
  round: (member: Running, seconds: number) => Promise<Sample>,
): Promise<Rounds> => {
  // Engines that compile while they run have seen the kind of request before it counts; at first there is most to compile.
  for (const member of members) await round(member, cold ? 1.5 : 0.4)
  cold = false
  const samples = new Map<string, Sample[]>(members.map(({ peer }) => [peer.name, []]))
  for (let n = 0; n < rounds; n++) {
    for (const member of members) samples.get(member.peer.name)?.push(await round(member, seconds))
  }
  return samples
}

const results = new Map<string, Rounds>()
const started = performance.now()
const others = otherWork()
for (const scenario of http) {
  const able: Running[] = []
  for (const member of running) {
    if (await proves(member, scenario, await fieldsFor(origin, scenario.headers))) able.push(member)
  }
  const measured = await interleave(able, async ({ child, place }, seconds) => {
    const fields = await fieldsFor(origin, scenario.headers)
    const load: Load = { port: place.port, fields, connections, seconds, directory }
    return loadHttp(child, scenario, load)
  })
  results.set(scenario.name, measured)
  console.log(`\n## ${scenario.name}: ${scenario.title}\n\n${scenarioTable(measured, "request")}`)
}

const socketPort = ({ peer, place }: Running): number =>
  peer.ownWebSocketPort === true ? place.webSocketPort : place.port
const speakers = running.filter(({ peer }) => peer.webSocket)
if (chosen.has("websocket") && speakers.length > 0) {
  const measured = await interleave(speakers, async (member, seconds) => {
    const fields = await fieldsFor(webSocketOrigin)
    return loadSockets(member.child, { port: socketPort(member), fields, connections }, seconds)
  })
  results.set("websocket", measured)
  console.log(
    `\n## websocket: messages of 64 B, echoed, one in flight per connection\n\n${scenarioTable(measured, "message")}`,
  )
}

const held = new Map<string, Idle>()
if (chosen.has("idle-websockets")) {
  // A proxy opens two sockets for each; some files it has for itself.
  const idle = Math.min(idleAsked, Math.floor((files - 200) / 2))
  const few = idle < idleAsked ? ` (of ${idleAsked} asked for: the limit of open files is ${files})` : ""
  for (const { peer } of speakers) {
    // A WebSocket takes as long to open through any of them: a whole run compares two, --only any.
    if (only === undefined && peer.name !== "ours" && peer.name !== "nginx") continue
    const fresh = await begin(peer)
    if (typeof fresh === "string") continue
    const fields = await fieldsFor(webSocketOrigin)
    const load = { port: socketPort(fresh), fields, connections: idle }
    held.set(peer.name, await holdSockets(fresh.child, load))
    await stop(fresh.child)
    await sleep(500)
  }
  if (held.size > 0) console.log(`\n## idle-websockets: ${idle} open and silent${few}\n\n${idleTable(held)}`)
}
const othersNow = otherWork()
const share = Math.max(0, Math.round((100 * (othersNow.done - others.done)) / (othersNow.possible - others.possible)))
const took = Math.round((performance.now() - started) / 1_000)

if (results.size > 1) console.log(`\n## CPU µs per request or message\n\n${summaryTable(results)}`)
for (const { peer, child } of running) {
  if (child.process.exitCode !== null)
    absent.push(`${peer.name}: ended during the run: ${child.complaint().slice(-300)}`)
}
for (const line of absent) console.log(`absent  ${line}`)

const judged = outcomes(results, held, connections)
if (ours !== undefined) console.log(`\n## Targets of ours, in this run\n\n${targetList(judged)}`)
console.log(`\n${took} s measured. CPU is utime + stime of /proc (Linux only); MiB is resident memory after the load.`)
console.log(
  `Other work took ${share} % of the machine meanwhile${share > 5 ? ": too much to judge by p99 and requests/s" : ""}.`,
)
if (chosen.has("parse")) runParse()
else console.log(`The hostname grammar has its own: node ${parse}, or --scenarios parse`)
console.log("So has the fetcher: node --conditions=@project-ingress/source packages/providers/bench/fetcher.ts")

if (values.json !== undefined) {
  const { version } = JSON.parse(readFileSync(join(here, "../packages/machine-proxy/package.json"), "utf8")) as {
    readonly version: string
  }
  const samples = Object.fromEntries([...results].map(([name, found]) => [name, Object.fromEntries(found)]))
  const report = {
    date: new Date().toISOString(),
    versions,
    version,
    busy,
    otherWorkPercent: share,
    rounds,
    seconds,
    connections,
    absent,
    samples,
  }
  writeFileSync(
    values.json,
    `${JSON.stringify({ ...report, idle: Object.fromEntries(held), targets: judged }, null, 2)}\n`,
  )
}
process.exit(0)
