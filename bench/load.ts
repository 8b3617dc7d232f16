// What loads the peers: wrk for HTTP, websocket-load.ts for WebSockets. Only 127.0.0.1 is ever asked.
import { execFileSync, spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { request } from "node:http"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { cpuMicroseconds, residentKiB, start, stop } from "./processes.ts"
import type { Child } from "./processes.ts"
import type { Fields, Scenario } from "./scenarios.ts"

/** What one round says of one peer. */
export interface Sample {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly residentMiB: number
  /** Answers that are no 2xx or 3xx, and errors of sockets. */
  readonly failed: number
}

export interface Load {
  readonly port: number
  readonly fields: Fields
  readonly connections: number
  readonly seconds: number
  readonly directory: string
}

/**
 * Loads by wrk, and says what it cost each of the processes that the requests passed. A fraction of a second is measured by
 * interrupting wrk, which then reports what it has.
 */
export const loadHttp = async (
  passed: readonly Child[],
  scenario: Scenario,
  load: Load,
): Promise<readonly Sample[]> => {
  const { port, fields, connections, seconds, directory } = load
  const args = ["-t1", `-c${connections}`, `-d${Math.ceil(seconds)}s`, "--latency", "--timeout", "5s"]
  for (const [name, value] of fields) args.push("-H", `${name}: ${value}`)
  if (scenario.post !== undefined) {
    const script = `${directory}/post-${scenario.post}.lua`
    writeFileSync(script, `wrk.method = "POST"\nwrk.body = string.rep("p", ${scenario.post})\n`)
    args.push("-s", script)
  }
  const before = passed.map(cpuMicroseconds)
  const report = await wrk([...args, `http://127.0.0.1:${port}${scenario.path}`], seconds)
  const spent = passed.map((child, at) => cpuMicroseconds(child) - before[at]!)
  const read = (pattern: RegExp): number => Number(pattern.exec(report)?.[1] ?? Number.NaN)
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(report)?.slice(1) ?? []
  return passed.map((child, at) => ({
    perSecond: read(/Requests\/sec:\s+([0-9.]+)/),
    cpuMicroseconds: spent[at]! / read(/([0-9]+) requests in/),
    p50Ms: milliseconds(/ 50%\s+(\S+)/.exec(report)?.[1]),
    p99Ms: milliseconds(/ 99%\s+(\S+)/.exec(report)?.[1]),
    residentMiB: residentKiB(child) / 1_024,
    failed:
      Number(/Non-2xx or 3xx responses: ([0-9]+)/.exec(report)?.[1] ?? 0) +
      errors.reduce((sum, count) => sum + Number(count), 0),
  }))
}

const WRK = "wrk"

const wrk = async (args: readonly string[], seconds: number): Promise<string> => {
  const child = spawn(WRK, args, { stdio: ["ignore", "pipe", "inherit"] })
  const end = (): unknown => child.kill("SIGKILL")
  process.once("exit", end)
  const interrupt = Number.isInteger(seconds) ? undefined : setTimeout(() => child.kill("SIGINT"), seconds * 1_000)
  const kill = setTimeout(end, (seconds + 15) * 1_000)
  let report = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    report += text
  })
  await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject))
  clearTimeout(interrupt)
  clearTimeout(kill)
  process.off("exit", end)
  if (!report.includes("Requests/sec:")) throw new Error(`wrk reported nothing: ${report.slice(-200)}`)
  return report
}

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }
const milliseconds = (text = ""): number => {
  const found = /^([0-9.]+)(us|ms|s|m)$/.exec(text)
  return found === null ? Number.NaN : Number(found[1]) * UNITS[found[2] ?? ""]!
}

/** One request by hand: what its answer is worth as `[status, octets of the body]`. */
export const probe = (port: number, scenario: Scenario, fields: Fields): Promise<readonly [number, number]> =>
  new Promise((resolve, reject) => {
    const post = scenario.post === undefined ? undefined : "p".repeat(scenario.post)
    const asked = request({
      host: "127.0.0.1",
      port,
      path: scenario.path,
      method: post === undefined ? "GET" : "POST",
      headers: Object.fromEntries(fields),
      agent: false,
      timeout: 5_000,
    })
    asked.once("timeout", () => asked.destroy(new Error("no answer in 5 s"))).once("error", reject)
    asked.once("response", (response) => {
      let octets = 0
      response.on("data", (chunk: Buffer) => {
        octets += chunk.length
      })
      response.once("end", () => resolve([response.statusCode ?? 0, octets])).once("error", reject)
    })
    asked.end(post)
  })

export interface SocketLoad {
  readonly port: number
  readonly fields: Fields
  readonly connections: number
}

/** What websocket-load.ts reports, one line of JSON each. */
export interface SocketReport {
  readonly open?: number
  readonly failed: number
  readonly messages?: number
  readonly seconds?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

/** One message in flight on each connection: said, and heard again, through each of the processes. */
export const loadSockets = async (
  passed: readonly Child[],
  load: SocketLoad,
  seconds: number,
): Promise<readonly Sample[]> => {
  const client = socketClient(load, seconds)
  try {
    await client.next()
    const before = passed.map(cpuMicroseconds)
    client.go()
    const done = await client.next()
    const spent = passed.map((child, at) => cpuMicroseconds(child) - before[at]!)
    const { messages = 0 } = done
    return passed.map((child, at) => ({
      perSecond: messages / (done.seconds ?? seconds),
      cpuMicroseconds: spent[at]! / messages,
      p50Ms: done.p50Ms ?? Number.NaN,
      p99Ms: done.p99Ms ?? Number.NaN,
      residentMiB: residentKiB(child) / 1_024,
      failed: done.failed,
    }))
  } finally {
    await client.stop()
  }
}

export interface Idle {
  readonly open: number
  readonly failed: number
  readonly beforeMiB: number
  readonly afterMiB: number
  readonly kibEach: number
}

/** How much a fresh peer grows by WebSockets that are open and silent. */
export const holdSockets = async (peer: Child, load: SocketLoad): Promise<Idle> => {
  // Code is loaded and compiled, and the heap has its first shape, before the first reading.
  const warm = socketClient({ ...load, connections: 200 }, 0)
  try {
    await warm.next()
  } finally {
    await warm.stop()
  }
  await sleep(1_500)
  const before = residentKiB(peer)
  const client = socketClient(load, 0)
  try {
    const { open = 0, failed } = await client.next()
    // What opening left behind is given a moment to be collected; nothing forces it to be.
    await sleep(3_000)
    const after = residentKiB(peer)
    return { open, failed, beforeMiB: before / 1_024, afterMiB: after / 1_024, kibEach: (after - before) / open }
  } finally {
    await client.stop()
  }
}

const socketClient = ({ port, fields, connections }: SocketLoad, seconds: number) => {
  const options = JSON.stringify({ port, fields, connections, seconds })
  const file = new URL("./websocket-load.ts", import.meta.url).pathname
  const child = start({ file: process.execPath, args: [file], env: { LOAD: options } }, 120)
  const lines = createInterface({ input: child.process.stdout! })[Symbol.asyncIterator]()
  return {
    next: async (): Promise<SocketReport> => {
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`the WebSocket client ended: ${child.complaint().slice(-300)}`)
      return JSON.parse(value) as SocketReport
    },
    go: () => child.process.stdin?.write("go\n"),
    stop: () => stop(child),
  }
}

export const wrkVersion = (): string => {
  try {
    return execFileSync("sh", ["-c", "wrk -v 2>&1 | head -n 1"], { encoding: "utf8" })
      .replace(/ Copyright.*/s, "")
      .trim()
  } catch {
    return "wrk"
  }
}
