// pnpm bench tcp [rounds]: a router by SNI beside Node's own pipe between two sockets, and HAProxy if it is here, in paired rounds.
import { execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "../../../test/free-port.ts"
import { helloFor } from "../../forward/test/tcp/hello-bytes.ts"

const ROUNDS = Number(process.argv[2] ?? 15)
const SECONDS = 1.5
const CONNECTIONS = 16
const SIZE = 65_536
const LIMIT = 1.2

const folder = mkdtempSync(join(tmpdir(), "project-ingress-bench-"))
const children: ChildProcess[] = []
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

const startPeer = async (job: string, app = 0): Promise<{ readonly pid: number; readonly port: number }> => {
  const script = new URL("tcp-peer.ts", import.meta.url).pathname
  const args = ["--conditions=@project-ingress/source", script, job, `${app}`]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  children.push(child)
  for await (const text of child.stdout) return { pid: child.pid!, port: Number(String(text)) }
  throw new Error(`${job} did not start`)
}

const startHaproxy = async (app: number): Promise<{ readonly pid: number; readonly port: number } | undefined> => {
  try {
    execFileSync("haproxy", ["-v"], { stdio: "ignore" })
  } catch {
    return undefined
  }
  const port = await freePort()
  const config = `
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
global
  nbthread 1
frontend sni
  bind 127.0.0.1:${port}
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  use_backend app if { req_ssl_sni -i misha.iterate.app }
backend app
  server app 127.0.0.1:${app}
`
  writeFileSync(join(folder, "haproxy.cfg"), config)
  const child = spawn("haproxy", ["-db", "-f", join(folder, "haproxy.cfg")], { stdio: "ignore" })
  children.push(child)
  await sleep(500)
  return { pid: child.pid!, port }
}

/** User and system time of a process, in ms. */
const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const hello = helloFor("misha.iterate.app")
const block = Buffer.alloc(SIZE, 7)

interface Load {
  readonly transfers: number
  readonly cpuUs: number
  readonly perSecond: number
}

/** Sends 64 KiB and waits until as much has come back, again and again; `fresh`: on a new connection for each. */
const load = async ({ pid, port }: { readonly pid: number; readonly port: number }, fresh: boolean): Promise<Load> => {
  let transfers = 0
  let running = true
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true })
      let wanted = hello.length + SIZE
      let got = 0
      socket.on("error", reject)
      socket.on("close", () => resolve())
      socket.write(hello)
      socket.write(block)
      socket.on("data", (bytes) => {
        got += bytes.length
        if (got < wanted) return
        transfers++
        if (fresh || !running) socket.end()
        else {
          wanted += SIZE
          socket.write(block)
        }
      })
    })
  const work = async (): Promise<void> => {
    await one()
    if (running && fresh) await work()
  }
  const before = cpuMs(pid)
  const began = performance.now()
  const works = Array.from({ length: CONNECTIONS }, work)
  await sleep(SECONDS * 1_000)
  running = false
  await Promise.all(works)
  return {
    transfers,
    cpuUs: ((cpuMs(pid) - before) * 1_000) / transfers,
    perSecond: transfers / ((performance.now() - began) / 1_000),
  }
}

/** The two-sided quantile of Student's t for 95 %, by degrees of freedom (Cornish-Fisher, good to 1 % from 5 up). */
const t95 = (freedom: number): number => {
  const z = 1.959_964
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2)
}

/** The geometric mean of ratios, and its 95 % confidence interval. */
const interval = (ratios: readonly number[]): string => {
  const logs = ratios.map(Math.log)
  const mean = logs.reduce((sum, each) => sum + each, 0) / logs.length
  const deviation = Math.sqrt(logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (logs.length - 1))
  const half = (t95(logs.length - 1) * deviation) / Math.sqrt(logs.length)
  const [middle, low, high] = [mean, mean - half, mean + half].map((each) => Math.exp(each).toFixed(3))
  return `${middle} × (95 %: ${low} to ${high})`
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const app = await startPeer("echo")
const haproxy = await startHaproxy(app.port)
const peers = {
  pipe: await startPeer("pipe", app.port),
  ours: await startPeer("sni", app.port),
  ...(haproxy === undefined ? {} : { haproxy }),
}
type Name = keyof typeof peers

for (const [fresh, what, limit] of [
  [false, "64 KiB to and fro on open connections", LIMIT],
  [true, "a new connection, its ClientHello, 64 KiB to and fro", undefined],
] as const) {
  const results: Record<string, Load[]> = {}
  for (let round = -2; round < ROUNDS; round++) {
    const order = Object.keys(peers) as Name[]
    for (const name of round % 2 === 0 ? order : order.toReversed()) {
      const measured = await load(peers[name]!, fresh)
      if (round >= 0) (results[name] ??= []).push(measured)
    }
  }
  console.log(`\n${what}: ${ROUNDS} paired rounds of ${SECONDS} s, ${CONNECTIONS} connections`)
  for (const [name, rounds] of Object.entries(results)) {
    const cpu = median(rounds.map(({ cpuUs }) => cpuUs)).toFixed(1)
    const rate = median(rounds.map(({ perSecond }) => perSecond)).toFixed(0)
    const pipes = results["pipe"]!
    const ratio = (of: "cpuUs" | "perSecond") => interval(rounds.map((each, at) => each[of] / pipes[at]![of]))
    const beside = name === "pipe" ? "" : `; to the pipe: CPU ${ratio("cpuUs")}, transfers ${ratio("perSecond")}`
    console.log(`  ${name.padEnd(8)} ${cpu} µs of CPU, ${rate} a second${beside}`)
  }
  if (limit !== undefined) {
    const pipes = results["pipe"]!
    const ratio = Math.exp(
      results["ours"]!.reduce((sum, each, at) => sum + Math.log(each.cpuUs / pipes[at]!.cpuUs), 0) / ROUNDS,
    )
    console.log(`  target: at most ${limit} × the CPU of the pipe: ${ratio <= limit ? "reached" : "missed"}`)
  }
}
process.exit(0)
