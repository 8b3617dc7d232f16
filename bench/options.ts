// The options of `pnpm bench`.
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { peers } from "./peers.ts"
import { otherScenarios, scenarios } from "./scenarios.ts"

const names: readonly string[] = [...scenarios.map(({ name }) => name), ...otherScenarios]

const help = `pnpm bench [options]

  --only a,b            peers: ${peers.map(({ name }) => name).join(", ")}
  --scenarios a,b       ${names.join(", ")}
  --rounds n            2
  --seconds n           of each peer in each round; 1
  --connections n       of wrk and of the WebSocket scenario; 64
  --idle-websockets n   10000, of which as many are opened as the limit of open files allows
  --json file           every sample

pnpm bench routes [count …]: the packed route table; 10000 100000 1000000
pnpm bench pages: how often a Worker reads a page of a large table, simulated
pnpm bench policies: a request with all policies on, beside the same without
pnpm bench tcp [rounds]: TCP by name beside Node's own pipe and HAProxy, in paired rounds; 15
pnpm bench http2 [rounds] [requests]: HTTP/2 from clients beside a proxy of node:http2, and nginx; 9 20000
pnpm bench worker [rounds]: the router in workerd beside a proxy of one line, and when it starts; 12

Quick: pnpm bench --only nginx,ours,bare. All peers and scenarios take about five minutes.`

/** Measured by scripts of their own. */
const scripts = new Map([
  ["routes", "../packages/router/bench/routes.ts"],
  ["pages", "../packages/router/bench/pages.ts"],
  ["worker", "worker/run.ts"],
  ["policies", "../packages/router/bench/policies.ts"],
  ["tcp", "../packages/router/bench/tcp.ts"],
  ["http2", "http2/run.ts"],
])

/** Ends the run with a message. */
export const give = (message: string): never => {
  console.error(message)
  process.exit(1)
}

/** The options of this run, valid. Ends the process after `--help`, and with a message if one is invalid. */
export const readOptions = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
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
  if (values.help) {
    console.log(help)
    process.exit(0)
  }
  const [subject, ...counts] = positionals
  const own = scripts.get(subject ?? "")
  if (own !== undefined) {
    const script = new URL(own, import.meta.url).pathname
    const { status } = spawnSync(process.execPath, ["--conditions=@project-ingress/source", script, ...counts], {
      stdio: "inherit",
    })
    process.exit(status ?? 1)
  }
  if (subject !== undefined) give(`${subject} is nothing to measure: see --help`)
  const only = listed(
    "only",
    values.only,
    peers.map(({ name }) => name),
  )
  const chosen = new Set(listed("scenarios", values.scenarios, names) ?? names)
  if (values["idle-websockets"] !== undefined) chosen.add("idle-websockets")
  return {
    only,
    chosen,
    rounds: count("rounds", values.rounds, 100),
    seconds: count("seconds", values.seconds, 60),
    connections: count("connections", values.connections, 1_000),
    idleWebSockets: count("idle-websockets", values["idle-websockets"] ?? "10000", 30_000),
    json: values.json,
  }
}

const count = (name: string, value: string, most: number): number => {
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
