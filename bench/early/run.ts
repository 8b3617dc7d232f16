// pnpm bench:early: how often a client reads the response of an app that refuses its upload and closes. See ../README.md.
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { generateTicketKeys, machineKey, signTicket } from "../../packages/forward/src/forward.ts"
import { freePort } from "../../test/free-port.ts"
import type { Command } from "../peer.ts"
import { isInstalled } from "../peers.ts"
import { listening, start, stopAllAtExit } from "../processes.ts"

/** Bytes of each upload: many times what buffers hold. */
const UPLOAD = 64 * 1_048_576

const { values } = parseArgs({ options: { tries: { type: "string", default: "40" } } })
const tries = Number(values.tries)
if (!Number.isInteger(tries) || tries < 1) throw new RangeError(`--tries: an integer from 1 up, got ${values.tries}`)
// Not Node: its sockets lose the response themselves when a write fails.
if (!isInstalled("curl")) throw new Error("curl is needed, as the client: apt-get install curl")

const folder = mkdtempSync(join(tmpdir(), "early-"))
stopAllAtExit(() => rmSync(folder, { recursive: true, force: true }))
const upload = join(folder, "upload")
writeFileSync(upload, Buffer.alloc(UPLOAD, "x"))

const machine = "mach_1"
const keys = await generateTicketKeys("bench")
const [appPort, machinePort] = [await freePort(), await freePort()]
const setup = JSON.stringify({ machine, port: machinePort, signingKey: keys.signing })
const node = (file: URL, port: number, env: Readonly<Record<string, string>> = {}): Command => ({
  file: process.execPath,
  args: ["--conditions=@project-ingress/source", file.pathname],
  env: { PORT: String(port), SETUP: setup, ...env },
})

const nginx = (port: number): Command => {
  const file = join(folder, "nginx.conf")
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
  writeFileSync(
    file,
    `daemon off;
error_log ${folder}/nginx.log;
pid ${folder}/nginx.pid;
events {}
http {
  access_log off;
  ${temporary.map((each) => `${each}_temp_path ${folder}/${each};`).join("\n  ")}
  client_max_body_size 100m;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${appPort}; proxy_http_version 1.1; proxy_request_buffering off; }
  }
}
`,
  )
  return { file: "nginx", args: ["-e", `${folder}/start.log`, "-c", file] }
}

const haproxy = (port: number): Command => {
  const file = join(folder, "haproxy.cfg")
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend client
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server app 127.0.0.1:${appPort}
`,
  )
  return { file: "haproxy", args: ["-db", "-f", file] }
}

const launch = async (command: Command, port: number): Promise<number> => {
  const child = start(command, 1_200)
  if (!(await listening(child, port, 30_000))) throw new Error(`${command.file} does not listen: ${child.complaint()}`)
  return port
}

interface Road {
  readonly name: string
  readonly port: number
  readonly fields: () => Promise<readonly string[]>
}
const plain = async (): Promise<readonly string[]> => []
const routed = async (): Promise<readonly string[]> => [`Host: ${appPort}__misha.iterate.app`]
const ticketed = async (): Promise<readonly string[]> => [
  `x-iterate-proxy-ticket: ${await signTicket(keys.signing, { machine, port: appPort, name: "localhost" })}`,
  `x-iterate-proxy-target-host: localhost:${appPort}`,
]

await launch(node(new URL("./app.ts", import.meta.url), appPort), appPort)
const proxy = {
  HOST: "127.0.0.1",
  INGRESS_MACHINE: machine,
  INGRESS_TICKET_KEYS: JSON.stringify([await machineKey(keys.signing, machine)]),
  INGRESS_LOG: "off",
}
await launch(node(new URL("../../packages/machine-proxy/src/bin.ts", import.meta.url), machinePort, proxy), machinePort)
const roads: Road[] = [{ name: "direct", port: appPort, fields: plain }]
for (const [name, command] of [
  ["nginx", nginx],
  ["haproxy", haproxy],
] as const) {
  const port = await freePort()
  if (isInstalled(name)) roads.push({ name, port: await launch(command(port), port), fields: plain })
  else console.log(`${name} is absent: apt-get install ${name}`)
}
roads.push({ name: "machine proxy", port: machinePort, fields: ticketed })
for (const [name, file] of [
  ["router (Node) and machine proxy", new URL("./router.ts", import.meta.url)],
  ["router (workerd) and machine proxy", new URL("./worker.ts", import.meta.url)],
] as const) {
  const port = await freePort()
  roads.push({ name, port: await launch(node(file, port), port), fields: routed })
}

/** Whether curl got the app's response whole and took no harm. */
const attempt = async ({ port, fields }: Road): Promise<boolean> => {
  const sent = ["Expect:", "Content-Type: application/octet-stream", ...(await fields())]
  const args = [
    "-s",
    "-i",
    ...sent.flatMap((field) => ["-H", field]),
    "--max-time",
    "20",
    "--data-binary",
    `@${upload}`,
  ]
  return new Promise((resolve) => {
    execFile("curl", [...args, `http://127.0.0.1:${port}/`], (error, text) => {
      resolve(error === null && text.startsWith("HTTP/1.1 413 ") && text.endsWith("refused".repeat(30)))
    })
  })
}

const read = new Map<string, number>()
// Each in turn, then again: what disturbs the machine disturbs all of them.
for (let round = 0; round < tries; round++) {
  for (const road of roads) read.set(road.name, (read.get(road.name) ?? 0) + ((await attempt(road)) ? 1 : 0))
}
console.log(`\n| through | response read, of ${tries} |\n| ------- | ---: |`)
for (const [name, count] of read) console.log(`| ${name} | ${count} |`)
process.exit(0)
