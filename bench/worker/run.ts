// pnpm bench worker: what the router costs workerd for each request beside a proxy of one line, and when it starts. See ../README.md.
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { generateTicketKeys } from "../../packages/forward/src/forward.ts"
import { freePort } from "../../test/free-port.ts"
import { loadHttp, probe } from "../load.ts"
import type { Command } from "../peer.ts"
import { isInstalled } from "../peers.ts"
import { listening, openFiles, start, stop, stopAllAtExit } from "../processes.ts"
import type { Child } from "../processes.ts"
import { httpOrigin } from "../origin/http.ts"
import { scenarios } from "../scenarios.ts"
import type { Scenario } from "../scenarios.ts"
import { median } from "../table.ts"
import { bundle, serve } from "./workerd.ts"

const ROUNDS = Number(process.argv[2] ?? 12)
const SECONDS = 2
const STARTS = 15
/** At most so many times the CPU of a bare proxy. */
const LIMIT = 1.25
const LIFE_SECONDS = 600

if (!Number.isInteger(ROUNDS) || ROUNDS < 1) throw new RangeError("pnpm bench worker [rounds]: an integer from 1 up")
if (process.platform !== "linux") throw new Error("CPU time is read from /proc: Linux only")
for (const program of ["wrk", "nginx"]) {
  if (!isInstalled(program)) throw new Error(`${program} is needed: apt-get install wrk nginx`)
}

const directory = mkdtempSync(join(tmpdir(), "bench-worker-"))
chmodSync(directory, 0o755)
stopAllAtExit(() => rmSync(directory, { recursive: true, force: true }))

const begin = async (command: Command, port: number): Promise<Child> => {
  const child = start(command, LIFE_SECONDS)
  if (!(await listening(child, port, 15_000))) throw new Error(`${command.file}: ${child.complaint()}`)
  return child
}

const machinePort = await freePort()
const origin = httpOrigin(directory, machinePort, openFiles(), "add_header x-iterate-proxy-stamp unproven always;")
await begin(origin, machinePort)

const { signing } = await generateTicketKeys("bench")
const bindings = { MACHINE_PORT: String(machinePort), SIGNING_KEY: JSON.stringify(signing) }
const fields = [["Host", "misha.iterate.app"]] as const
const names = ["bare", "routed"] as const
const files = new Map<string, string>()
for (const name of ["empty", ...names]) files.set(name, await bundle(name, directory))

interface Running {
  readonly port: number
  readonly child: Child
}
const running = new Map<string, Running>()
for (const name of names) {
  const port = await freePort()
  running.set(name, { port, child: await begin(serve(files.get(name)!, port, bindings), port) })
}

const cpuOf = async (name: string, scenario: Scenario): Promise<number> => {
  const { port, child } = running.get(name)!
  const [sample] = await loadHttp([child], scenario, { port, fields, connections: 64, seconds: SECONDS, directory })
  if (sample!.failed > 0) throw new Error(`${name}: ${sample!.failed} requests failed`)
  return sample!.cpuMicroseconds
}

const digits = (value: number): string => value.toFixed(2)
const spread = (values: readonly number[]): string => {
  const sorted = values.toSorted((one, other) => one - other)
  const at = (share: number): string => digits(sorted[Math.round(share * (sorted.length - 1))]!)
  return `${digits(median(values))} (quartiles ${at(0.25)}–${at(0.75)}, all ${at(0)}–${at(1)})`
}

console.log(
  `CPU of workerd, ${ROUNDS} paired rounds of ${SECONDS} s, 64 connections; target: at most ${LIMIT} × bare\n`,
)
for (const scenario of scenarios.filter(({ name }) => ["hello", "64k", "post16k", "headers1000"].includes(name))) {
  for (const { port } of running.values()) {
    const [status, length] = await probe(port, scenario, fields)
    if (status !== 200 || length !== scenario.answer) throw new Error(`${scenario.name}: ${status}, ${length} bytes`)
  }
  const ratios: number[] = []
  const spent = new Map(names.map((name) => [name as string, [] as number[]]))
  // The first round compiles.
  for (let round = -1; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? names : names.toReversed()
    const cpu = new Map<string, number>()
    for (const name of order) cpu.set(name, await cpuOf(name, scenario))
    if (round < 0) continue
    for (const name of names) spent.get(name)!.push(cpu.get(name)!)
    ratios.push(cpu.get("routed")! / cpu.get("bare")!)
  }
  const [bare, routed] = names.map((name) => median(spent.get(name)!))
  console.log(
    `${scenario.title}: bare ${bare!.toFixed(1)} µs, routed ${routed!.toFixed(1)} µs; routed ÷ bare ${spread(ratios)}`,
  )
}
for (const { child } of running.values()) await stop(child)

/** From nothing to the first response, in ms: the process, the modules and one request. */
const startUp = async (name: string): Promise<number> => {
  const port = await freePort()
  const command = serve(files.get(name)!, port, bindings)
  const began = performance.now()
  const child = start(command, LIFE_SECONDS)
  for (;;) {
    const [status] = await probe(port, scenarios[0]!, fields).catch(() => [0])
    if (status === 200) break
    await sleep(1)
  }
  const ms = performance.now() - began
  await stop(child)
  return ms
}

const starts = new Map(["empty", "bare", "routed"].map((name) => [name, [] as number[]]))
for (let round = 0; round < STARTS; round++) for (const [name, all] of starts) all.push(await startUp(name))
console.log(`\nFrom the start of the process to the first response, ${STARTS} rounds:`)
for (const [name, all] of starts) {
  const ratios = all.map((ms, round) => ms / starts.get("empty")![round]!)
  console.log(`${name}: ${median(all).toFixed(1)} ms; ÷ empty ${spread(ratios)}`)
}
process.exit(0)
