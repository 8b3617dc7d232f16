/**
 * HTTP/2 from clients: the engine beside a proxy of node:http2 and node:http, and nginx if it is there, in front of the same nginx.
 *
 *     apt-get install nghttp2-client nginx
 *     node --conditions=@project-ingress/source bench/http2/run.ts [rounds] [requests]
 *
 * Each round loads one after the other, in an order that alternates, with the same requests by h2load. CPU is `utime + stime` of the
 * proxy's processes over the requests; a ratio is of two neighbours in a round. Its interval is the one in which the median of all
 * rounds is with 95 %, by the ranks of the sorted ratios.
 */
import { execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const rounds = Number(process.argv[2] ?? 9)
const requests = Number(process.argv[3] ?? 20_000)
const directory = mkdtempSync(join(tmpdir(), "bench-http2-"))
const TICKS_PER_SECOND = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))

interface Peer {
  readonly name: string
  readonly port: number
  readonly process: ChildProcess
}

const children: ChildProcess[] = []
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")))

const nginx = (name: string, server: string): ChildProcess => {
  const config = join(directory, `${name}.conf`)
  writeFileSync(
    config,
    `daemon off; master_process off; worker_processes 1; pid ${directory}/${name}.pid; error_log stderr crit;
     events { worker_connections 4096; }
     http { access_log off; keepalive_requests 1000000; client_body_temp_path ${directory}/${name};
       upstream app { server 127.0.0.1:18101; keepalive 256; keepalive_requests 1000000; } ${server} }`,
  )
  const child = spawn("nginx", ["-c", config, "-e", "stderr"], { stdio: ["ignore", "ignore", "inherit"] })
  children.push(child)
  return child
}

const node = async (which: string): Promise<Peer> => {
  const file = join(import.meta.dirname, "peer.ts")
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", file, which, "18101"], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  children.push(child)
  const port = await new Promise<number>((resolve) => child.stdout.once("data", (text) => resolve(Number(text))))
  return { name: which, port, process: child }
}

const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ")
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND
}

const load = (
  peer: Peer,
  path: string,
  count: number,
  more: readonly string[],
): { cpuUs: number; perSecond: number } => {
  const before = cpuMs(peer.process.pid!)
  const args = ["-n", String(count), "-c", "8", "-m", "16", ...more, `https://localhost:${peer.port}${path}`]
  const text = execFileSync("h2load", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
  const succeeded = Number(/(\d+) succeeded/.exec(text)?.[1])
  if (succeeded !== count || !text.includes(`status codes: ${count} 2xx`)) throw new Error(`${peer.name}: ${text}`)
  return {
    cpuUs: ((cpuMs(peer.process.pid!) - before) * 1_000) / count,
    perSecond: Number(/([\d.]+) req\/s/.exec(text)?.[1]),
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** The ranks between which the median of all is with 95 %. */
const interval = (values: readonly number[]): readonly [number, number] => {
  const sorted = values.toSorted((a, b) => a - b)
  const n = sorted.length
  let below = 0
  let chance = 0.5 ** n
  for (let sum = chance; sum <= 0.025 && below < n / 2; sum += chance) {
    below++
    chance = (chance * (n - below + 1)) / below
  }
  const low = Math.max(0, below - 1)
  return [sorted[low]!, sorted[n - 1 - low]!]
}

const files = join(directory, "files")
execFileSync("mkdir", ["-p", files])
writeFileSync(join(files, "hello"), "Hello, world!\n")
writeFileSync(join(files, "64k"), Buffer.alloc(65_536, "x"))
writeFileSync(join(directory, "16k"), Buffer.alloc(16_384, "x"))
nginx(
  "app",
  `server { listen 127.0.0.1:18101; root ${files}; location /post { client_max_body_size 1m; return 200 ok; } }`,
)
const fixtures = join(import.meta.dirname, "../../packages/forward/test/fixtures/localhost")
const proxy = nginx(
  "proxy",
  `server { listen 127.0.0.1:18102 ssl http2; ssl_certificate ${fixtures}.crt; ssl_certificate_key ${fixtures}.key;
   location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } }`,
)
const peers: readonly Peer[] = [await node("ours"), await node("bare"), { name: "nginx", port: 18102, process: proxy }]
const scenarios = [
  { name: "hello", path: "/hello", count: requests, more: [] },
  { name: "64k", path: "/64k", count: Math.ceil(requests / 4), more: ["-w", "20", "-W", "24"] },
  { name: "post16k", path: "/post", count: Math.ceil(requests / 2), more: ["-d", join(directory, "16k")] },
]

for (const { name, path, count, more } of scenarios) {
  const samples = new Map(peers.map((peer) => [peer.name, [] as { cpuUs: number; perSecond: number }[]]))
  for (const peer of peers) load(peer, path, count, more)
  for (let round = 0; round < rounds; round++)
    for (const peer of round % 2 === 0 ? peers : peers.toReversed())
      samples.get(peer.name)!.push(load(peer, path, count, more))
  const of = (peer: string) => samples.get(peer)!
  const figures = peers.map((peer) => {
    const cpu = median(of(peer.name).map(({ cpuUs }) => cpuUs)).toFixed(1)
    return `${peer.name} ${cpu} µs (${Math.round(median(of(peer.name).map(({ perSecond }) => perSecond)))}/s)`
  })
  const ratios = of("ours").map(({ cpuUs }, round) => cpuUs / of("bare")[round]!.cpuUs)
  const [low, high] = interval(ratios)
  console.log(
    `${name}: ${figures.join(", ")}; ours to bare ${median(ratios).toFixed(2)} × (${low.toFixed(2)}–${high.toFixed(2)})`,
  )
}
process.exit(0)
