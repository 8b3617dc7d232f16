// What the generated configuration of Caddy costs: its export, and requests through it beside a hand-written Caddyfile's, in rounds that take turns.
//   pnpm exec node --conditions=@project-ingress/source packages/ingress/bench/caddy.ts [rounds]
import { execFile } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { promisify } from "node:util"
import { freePort } from "../../../test/free-port.ts"
import { exportCaddy, exportCaddyfile } from "../src/caddy.ts"
import { configDiff } from "../src/caddy/front/config-diff.ts"
import type { DeclaredIngress } from "../src/resource/ingress.ts"
import { ingress, inputOf } from "../test/caddy/ingresses.ts"
import { adaptCaddyfile, startCaddy } from "../test/caddy/real-caddy.ts"
import type { RealCaddy } from "../test/caddy/real-caddy.ts"

const rounds = Number(process.argv[2] ?? 15)

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** The median of ratios, and its 95 % interval by resampling. */
const interval = (ratios: readonly number[]): string => {
  const medians = Array.from({ length: 2_000 }, () =>
    median(ratios.map(() => ratios[Math.floor(Math.random() * ratios.length)]!)),
  ).toSorted((a, b) => a - b)
  return `${median(ratios).toFixed(3)} [${medians[50]!.toFixed(3)}, ${medians[1_949]!.toFixed(3)}]`
}

const timed = (work: () => unknown): number => {
  const began = performance.now()
  work()
  return performance.now() - began
}

const many = (count: number, url: string): Promise<readonly DeclaredIngress[]> =>
  Promise.all(
    Array.from({ length: count }, (_, at) =>
      ingress(`i${at}`, [{ match: { hostname: `h${at}.example.com` }, target: { url } }], { createdAt: at }),
    ),
  )

const exporting = async (): Promise<void> => {
  const ingresses = await many(10_000, "http://127.0.0.1:8080")
  const input = inputOf(ingresses)
  console.log(
    `export of 10 000 as JSON      ${median([1, 2, 3].map(() => timed(() => exportCaddy(input)))).toFixed(0)} ms`,
  )
  console.log(
    `export of 10 000 as Caddyfile ${median([1, 2, 3].map(() => timed(() => exportCaddyfile(input)))).toFixed(0)} ms`,
  )
  const { config } = exportCaddy(input)
  const changed = exportCaddy(inputOf(ingresses.slice(1))).config
  console.log(`diff of one among 10 000      ${timed(() => configDiff(config, changed)).toFixed(0)} ms`)
}

/** The processor time of a process, in ms. */
const cpuMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

interface Sample {
  readonly perSecond: number
  readonly cpuMs: number
}

const round = async (caddy: RealCaddy, port: number, hostname: string): Promise<Sample> => {
  const before = cpuMs(caddy.process.pid!)
  const args = ["-t1", "-c16", "-d1s", "-H", `Host: ${hostname}`, `http://127.0.0.1:${port}/`]
  const { stdout } = await promisify(execFile)("wrk", args)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  if (!(requests > 0) || /Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout)
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    cpuMs: (cpuMs(caddy.process.pid!) - before) / requests,
  }
}

const compare = async (count: number, url: string): Promise<void> => {
  const [generated, handWritten] = await Promise.all([startCaddy(), startCaddy()])
  const [one, other] = [await freePort(), await freePort()]
  const listen = ({ admin }: RealCaddy) => ({ listen: new URL(admin).host })
  const { config } = exportCaddy(inputOf(await many(count, url)), {
    publicPorts: { [one]: 80 },
    admin: listen(generated),
  })
  const sites = Array.from(
    { length: count },
    (_, at) => `http://h${at}.example.com:${other} {\n\treverse_proxy ${url.slice(7)}\n}\n`,
  )
  const caddyfile = `{\n\tadmin ${listen(handWritten).listen}\n\tauto_https off\n}\n${sites.join("")}`
  for (const [caddy, document] of [
    [generated, config],
    [handWritten, adaptCaddyfile(caddyfile)],
  ] as const) {
    const loaded = await caddy.load(document)
    if (!loaded.ok) throw new Error(await loaded.text())
  }
  // The one in the middle of whatever order.
  const hostname = `h${count >> 1}.example.com`
  const samples: { readonly ours: Sample; readonly theirs: Sample }[] = []
  for (let at = -2; at < rounds; at += 1) {
    // Which one begins takes turns, too.
    const first = at % 2 === 0 ? await round(generated, one, hostname) : undefined
    const theirs = await round(handWritten, other, hostname)
    const ours = first ?? (await round(generated, one, hostname))
    if (at >= 0) samples.push({ ours, theirs })
  }
  const requests = interval(samples.map(({ ours, theirs }) => ours.perSecond / theirs.perSecond))
  const cpu = interval(samples.map(({ ours, theirs }) => ours.cpuMs / theirs.cpuMs))
  console.log(
    `${count} hostnames: requests a second, generated / hand-written ${requests}; CPU of a request ${cpu}; ${median(samples.map(({ ours }) => ours.perSecond)).toFixed(0)} req/s`,
  )
  await Promise.all([generated.stop(), handWritten.stop()])
}

await exporting()
const app = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1")
await once(app, "listening")
const { port } = app.address() as AddressInfo
for (const count of [10, 1_000, 10_000]) await compare(count, `http://127.0.0.1:${port}`)
app.close()
app.closeAllConnections()
