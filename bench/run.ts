// pnpm bench: the machine proxy beside its peers, round by round. See README.md for the method.
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { cpus, loadavg, release, tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { generateTicketKeys, machineKey, signTicket } from "../packages/forward/src/forward.ts"
import { freePort } from "../test/free-port.ts"
import { measureChain } from "./chain.ts"
import type { Start } from "./chain.ts"
import { holdSockets, probe, wrkVersion } from "./load.ts"
import type { Idle } from "./load.ts"
import { makeMeasure } from "./measure.ts"
import type { Way } from "./measure.ts"
import { give, readOptions } from "./options.ts"
import { httpOrigin } from "./origin/http.ts"
import { isInstalled, peers } from "./peers.ts"
import type { Peer, PeerSetup } from "./peer.ts"
import { targetHeader, ticketHeader } from "./peers/job.ts"
import { listening, openFiles, otherWork, start, stop, stopAllAtExit } from "./processes.ts"
import type { Child } from "./processes.ts"
import { scenarios } from "./scenarios.ts"
import type { Fields } from "./scenarios.ts"
import { chainTable, idleTable, scenarioTable, summaryTable } from "./table.ts"
import type { Rounds } from "./table.ts"
import { outcomes, targetList } from "./targets.ts"

const { only, chosen, rounds, seconds, connections, idleWebSockets, json } = readOptions()

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

const measuresPeers = [...chosen].some((name) => name !== "chain" && name !== "parse")
const isWanted = ({ name, onDemand }: Peer): boolean => (only === undefined ? onDemand !== true : only.includes(name))
const wanted = measuresPeers ? peers.filter(isWanted) : []
const absent: string[] = []
const present = wanted.filter(({ name, needs }) => {
  if (needs === undefined || isInstalled(needs.program)) return true
  absent.push(`${name}: ${needs.program} is not installed; apt-get install ${needs.debian}`)
  return false
})

// The peers from npm are no dependency of the repository: nobody who builds it should download them.
if (measuresPeers && !existsSync(join(here, "node_modules/.package-lock.json"))) {
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

const files = openFiles()
const machine = "mach_bench"
const keys = await generateTicketKeys("bench")
const origin = await freePort()
const webSocketOrigin = await freePort()
const http = scenarios.filter(({ name }) => chosen.has(name))
// Generous: what a run takes is known, and a child that outlives it is a bug of ours.
const ways = present.length * (http.length + 1) + (chosen.has("chain") ? 20 : 0)
const life = Math.ceil(ways * (rounds * (seconds + 1) + 2) + present.length * 40 + 120)

/** The fields of a request straight to a machine. */
const ticketed = async (to: number): Promise<Fields> => [
  [targetHeader, `${to}__misha.iterate.app`],
  [ticketHeader, await signTicket(keys.signing, { machine, port: to, name: "misha.iterate.app" })],
]

interface Running {
  readonly peer: Peer
  readonly setup: PeerSetup
  readonly child: Child
}
const begin = async (peer: Peer, machinePort = 0): Promise<Running | string> => {
  const setup: PeerSetup = {
    directory: folder(join(directory, `${peer.name}-`)),
    port: await freePort(),
    webSocketPort: await freePort(),
    origin,
    webSocketOrigin,
    openFiles: files,
    keys: JSON.stringify([await machineKey(keys.signing, machine)]),
    signingKey: JSON.stringify(keys.signing),
    machine,
    machinePort,
  }
  try {
    const child = start(peer.command(setup), life)
    const ready = await listening(child, setup.port, 15_000)
    if (ready) return { peer, setup, child }
    await stop(child)
    return `${peer.name}: did not start: ${child.complaint().slice(-300)}`
  } catch (error) {
    return `${peer.name}: did not start: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`
  }
}
const wayThrough = ({ peer, setup, child }: Running): Way => ({
  hops: [{ name: peer.name, child }],
  port: setup.port,
  webSocketPort: peer.ownWebSocketPort === true ? setup.webSocketPort : setup.port,
  fields: ticketed,
})

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
if (measuresPeers && running.length === 0) give("No peer is left to measure.")

// A figure for tickets is worth nothing if nobody looks at them.
const ours = running.find(({ peer }) => peer.name === "ours")
const [first] = scenarios
if (ours !== undefined && first !== undefined) {
  const [target] = await ticketed(origin)
  const [status] = await probe(ours.setup.port, first, target === undefined ? [] : [target])
  if (status < 400) give(`ours answered ${status} to a request without a ticket`)
  console.log(`ours answers ${status} without a ticket, and verifies one (EdDSA) on each request below`)
}

const reportAbsent = (reason: string): void => {
  absent.push(reason)
  console.log(`absent  ${reason}`)
}
const measure = makeMeasure({ rounds, seconds, connections, directory, origin, webSocketOrigin }, reportAbsent)

const results = new Map<string, Rounds>()
const started = performance.now()
const others = otherWork()
for (const scenario of http) {
  const measured = await measure.http(scenario, running.map(wayThrough))
  results.set(scenario.name, measured)
  console.log(`\n## ${scenario.name}: ${scenario.title}\n\n${scenarioTable(measured, "request")}`)
}

const speakers = running.filter(({ peer }) => peer.webSocket)
if (chosen.has("websocket") && speakers.length > 0) {
  const measured = await measure.webSockets(speakers.map(wayThrough))
  results.set("websocket", measured)
  console.log(
    `\n## websocket: messages of 64 B, echoed, one in flight per connection\n\n${scenarioTable(measured, "message")}`,
  )
}

let chain: ReadonlyMap<string, Rounds> = new Map()
if (chosen.has("chain")) {
  const startHop: Start = async (peer, machinePort) => {
    const begun = await begin(peer, machinePort)
    if (typeof begun === "string") return give(begun)
    return { port: begun.setup.port, way: wayThrough(begun), stop: () => stop(begun.child) }
  }
  chain = await measureChain(startHop, measure)
  console.log(`\n## chain: CPU µs of each hop, and their ratios with the lowest and the highest round`)
  console.log(`\n${summaryTable(chain)}\n\n${chainTable(chain)}`)
}

const held = new Map<string, Idle>()
if (chosen.has("idle-websockets")) {
  // A proxy opens two sockets for each; some files it has for itself.
  const idle = Math.min(idleWebSockets, Math.floor((files - 200) / 2))
  const few = idle < idleWebSockets ? ` (of ${idleWebSockets} asked for: the limit of open files is ${files})` : ""
  for (const { peer } of speakers) {
    // A WebSocket takes as long to open through any of them: a whole run compares two, --only any.
    if (only === undefined && peer.name !== "ours" && peer.name !== "nginx") continue
    const fresh = await begin(peer)
    if (typeof fresh === "string") continue
    const load = { port: wayThrough(fresh).webSocketPort, fields: await ticketed(webSocketOrigin), connections: idle }
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

const judged = outcomes(results, chain, held, connections)
if (ours !== undefined || chain.size > 0) console.log(`\n## Targets of ours, in this run\n\n${targetList(judged)}`)
console.log(`\n${took} s measured. CPU is utime + stime of /proc (Linux only); MiB is resident memory after the load.`)
console.log(
  `Other work took ${share} % of the machine meanwhile${share > 5 ? ": too much to judge by p99 and requests/s" : ""}.`,
)
if (chosen.has("parse")) runParse()
else console.log(`The hostname grammar has its own: node ${parse}, or --scenarios parse`)
console.log("So has the fetcher: node --conditions=@project-ingress/source packages/providers/bench/fetcher.ts")

if (json !== undefined) {
  const { version } = JSON.parse(readFileSync(join(here, "../packages/machine-proxy/package.json"), "utf8")) as {
    readonly version: string
  }
  const plain = (all: ReadonlyMap<string, Rounds>) =>
    Object.fromEntries([...all].map(([name, found]) => [name, Object.fromEntries(found)]))
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
    samples: plain(results),
    chain: plain(chain),
  }
  writeFileSync(json, `${JSON.stringify({ ...report, idle: Object.fromEntries(held), targets: judged }, null, 2)}\n`)
}
process.exit(0)
