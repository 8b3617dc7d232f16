// What one change among 10 000 ingresses costs: the plan of Envoy's files, by its parts.
//   pnpm exec node --conditions=@project-ingress/source packages/ingress/bench/plan-envoy.ts
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { exportEnvoy } from "../src/envoy.ts"
import { envoyFront } from "../src/envoy/front/envoy-front.ts"
import { planFiles } from "../src/files/generated-files.ts"
import { decodeIngress } from "../src/ingress.ts"
import type { DeclaredIngress } from "../src/ingress.ts"

const COUNT = 10_000
const ROUNDS = 5
const certificates = { "*.example.com": { certFile: "/tls/a.pem", keyFile: "/tls/a.key" } }

const ingress = async (at: number, address = `10.0.${at >> 8}.${at & 255}`): Promise<DeclaredIngress> => {
  // Every tenth speaks TLS, every hundredth is a pattern.
  const hostname = at % 100 === 0 ? `{name}.tenant-${at}.example.com` : `app-${at}.example.com`
  const settings = at % 10 === 1 ? { tls: true, redirectHttp: true } : {}
  const rule = { match: { hostname }, target: { url: `http://${address}:8080` }, ...settings }
  const { name, rules } = await decodeIngress({ name: `app-${at}`, rules: [rule] })
  return { id: `id${at}`, name, version: 1, createdAt: at, updatedAt: at, rules }
}

const folder = await mkdtemp(join(tmpdir(), "plan-envoy-"))
const { signal } = new AbortController()
const input = (ingresses: readonly DeclaredIngress[]) => ({ ingresses, address: () => undefined })
const all = await Promise.all(Array.from({ length: COUNT }, (_, at) => ingress(at)))
const front = envoyFront({ folder, export: { folder, certificates }, settleMs: 0 })
/** Processor time of this thread in ms: other programs do not count. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}
const timed = async <T>(run: () => T | Promise<T>): Promise<readonly [ms: number, T]> => {
  const began = cpuMs()
  const value = await run()
  return [cpuMs() - began, value]
}
const shown = (ms: readonly number[]): string => ms.map((each) => each.toFixed(0)).join(", ")

try {
  await (await front.plan(input(all), { signal })).apply(signal)
  const changes = [
    ["a new hostname", [...all, await ingress(COUNT + 1)]],
    ["another target", all.with(4_711, await ingress(4_711, "10.9.9.9"))],
    ["a hostname less", all.toSpliced(4_711, 1)],
    ["nothing", all],
  ] as const
  for (const [name, ingresses] of changes) {
    const parts: Record<"plan" | "export" | "compare" | "diff", number[]> = {
      plan: [],
      export: [],
      compare: [],
      diff: [],
    }
    for (let round = 0; round < ROUNDS; round++) {
      parts.plan.push((await timed(() => front.plan(input(ingresses), { signal })))[0])
      const [exporting, { files }] = await timed(() => exportEnvoy(input(ingresses), { folder, certificates }))
      const [comparing, plan] = await timed(() => planFiles(folder, files))
      parts.export.push(exporting)
      parts.compare.push(comparing)
      parts.diff.push((await timed(() => plan.diff))[0])
    }
    const detail = Object.entries(parts).map(([part, ms]) => `${part} ${shown(ms)}`)
    console.log(`${name}. Processor time in ms: ${detail.join("; ")}`)
  }
} finally {
  await rm(folder, { recursive: true })
}
