/**
 * The socket engine's suite on every runtime it claims: three majors of Node, Bun and Deno. On the Nodes also what sends by
 * undici; Bun and Deno send by their own means, which other tests start them for. On Bun and Deno also who may open a private port,
 * which the tests themselves show on Node.
 *
 *     pnpm test:runtimes             all of them
 *     pnpm test:runtimes bun deno    some
 *
 * One line for each runtime and a total at the end; the exit code is 1 when something failed. Where a runtime behaves otherwise,
 * `runtime-deviations.json` says so and why: `{ "bun": { "F07": "reason" } }`, where the key is a test's id, its title or the
 * names of its groups, whole words from the start. A declared test must fail: one that passes, or that is not there, is a stale
 * declaration and a failure. The other Nodes come from the npm registry and are kept in node_modules/.cache.
 *
 * As a vitest reporter, which it is in the runs that it starts, it writes down what became of every test.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Reporter } from "vitest/node"

/** What is run: a folder or a file each, and each must bring tests. */
const suite = [
  "packages/machine-proxy/test/catalogue/",
  "packages/machine-proxy/test/machine-proxy.test.ts",
  "packages/machine-proxy/test/tunnel.test.ts",
  "packages/forward/test/http1.test.ts",
  "packages/forward/test/frames.test.ts",
  "packages/forward/test/headers.test.ts",
  "packages/forward/test/engine/proxy-protocol.test.ts",
  "packages/forward/test/messages/",
  "packages/forward/test/engine/pin.test.ts",
  "packages/forward/test/engine/paused.test.ts",
  "packages/router/test/fallback-upgrade.test.ts",
  "packages/router/test/mount/mount.test.ts",
  "packages/router/test/attacks/mount.test.ts",
  "packages/forward/test/tcp/tcp-engine.test.ts",
  "packages/forward/test/tcp/client-hello.test.ts",
  "packages/forward/test/datagrams/datagram-engine.test.ts",
  "packages/forward/test/tunnel/",
  "packages/forward/test/h2c/everywhere.test.ts",
  "packages/router/test/tcp/by-name.test.ts",
  "packages/router/test/udp/serve-udp.test.ts",
  "test/abuse/crossing.test.ts",
]
/** Who may open a private port: the same code everywhere, over each runtime's own cryptography and Fetch. */
const offNode = [
  ...["sign-in", "tokens", "links"].flatMap((name) => [
    `packages/router/test/access/${name}.test.ts`,
    `packages/router/test/attacks/${name}.test.ts`,
  ]),
  ...["authorize", "visibility", "require-header", "allow-cidrs", "hide-forbidden", "hop-limit", "canonical-host"].map(
    (name) => `packages/router/test/attacks/${name}.test.ts`,
  ),
]
/** Not on Deno, where the engine speaks HTTP/2 neither to clients nor to apps: its node:http2 lets frames end the process. */
const overHttp2 = ["packages/forward/test/http2/", "packages/forward/test/h2c/"]
const onNode = [
  "packages/forward/test/attacks/http2.test.ts",
  "packages/forward/test/attacks/http2-downgrade.test.ts",
  "packages/forward/test/fetch.test.ts",
  "packages/forward/test/fetch-connect.test.ts",
  "packages/forward/test/fetch-pin.test.ts",
  "packages/machine-proxy/test/tls.test.ts",
  "packages/providers/test/fetcher.test.ts",
  "packages/providers/test/connect.test.ts",
  "packages/router/test/node.test.ts",
  // Rows of node:http's own parser: other runtimes have others.
  "packages/router/test/mount/raw.test.ts",
  "packages/router/test/pinned.test.ts",
  "packages/router/test/without-address.test.ts",
]

const root = join(import.meta.dirname, "..")
const bin = (name: string) => join(root, "node_modules/.bin", name)

interface Runtime {
  /** As in the arguments and in `runtime-deviations.json`. */
  readonly key: string
  /** The command and its arguments before those of vitest. */
  readonly command: () => Promise<readonly [string, ...string[]]>
}

const runtimes: readonly Runtime[] = [
  { key: "node22", command: async () => [await fetchedNode("22.23.3")] },
  // The pinned one: `pnpm run` puts it first on PATH.
  { key: "node24", command: async () => [process.execPath] },
  { key: "node26", command: async () => [await fetchedNode("26.10.0")] },
  { key: "bun", command: async () => [bin("bun"), "--bun"] },
  { key: "deno", command: async () => [bin("deno"), "run", "--allow-all"] },
]

interface Test {
  /** `packages/forward/test/http1.test.ts` */
  readonly file: string
  /** The groups' names, outermost first, and then its own. */
  readonly path: readonly string[]
  readonly state: "passed" | "failed" | "skipped"
  /** Why it was skipped, or how it failed. */
  readonly note: string
}

interface Report {
  readonly tests: readonly Test[]
  /** What failed outside a test: a file that does not load, a hook, an unhandled rejection. */
  readonly outside: readonly string[]
}

interface Total {
  passed: number
  failed: number
  skipped: number
  declared: number
}

const REPORT = "INGRESS_RUNTIME_REPORT"

const text = (error: { readonly message?: string; readonly stack?: string }): string =>
  error.stack ?? error.message ?? "?"

export default class RuntimeReport implements Reporter {
  async onTestRunEnd(...[modules, unhandled]: Parameters<NonNullable<Reporter["onTestRunEnd"]>>): Promise<void> {
    const tests = modules.flatMap((module) =>
      [...module.children.allTests()].map((test): Test => {
        const path = [test.name]
        for (let group = test.parent; group.type === "suite"; group = group.parent) path.unshift(group.name)
        const result = test.result()
        const file = module.relativeModuleId
        if (result.state === "passed") return { file, path, state: "passed", note: "" }
        if (result.state === "skipped") return { file, path, state: "skipped", note: result.note ?? "no reason given" }
        const note = result.state === "failed" ? result.errors.map(text).join("\n") : "was never run to its end"
        return { file, path, state: "failed", note }
      }),
    )
    const outside = [
      ...unhandled.map(text),
      ...modules.flatMap((module) => [
        ...module.errors().map((error) => `${module.relativeModuleId}: ${text(error)}`),
        ...[...module.children.allSuites()].flatMap((group) =>
          group.errors().map((error) => `${module.relativeModuleId} > ${group.fullName}: ${text(error)}`),
        ),
      ]),
    ]
    const report: Report = { tests, outside }
    await writeFile(process.env[REPORT]!, JSON.stringify(report))
  }
}

/** `fetch` is for the npm package that holds nothing but a binary, so no install script has to run. */
const fetchedNode = async (version: string): Promise<string> => {
  const { platform, arch } = process
  const system = platform === "win32" ? "win" : platform
  const name = `${system === "darwin" && arch === "arm64" ? "node-bin" : "node"}-${system}-${arch}`
  const folder = join(root, "node_modules/.cache/test-runtimes", version)
  const binary = join(folder, "node_modules", name, "bin", system === "win" ? "node.exe" : "node")
  if (!existsSync(binary)) {
    console.log(`fetches Node ${version}`)
    const options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]
    const { code, output } = await run(["npm", "install", ...options, `${name}@${version}`], process.env, 600_000)
    if (code !== 0) throw new Error(`npm could not install ${name}@${version}\n${output}`)
  }
  return binary
}

const run = async (
  [command, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  timeout: number,
): Promise<{ readonly code: number | string | null; readonly output: string }> => {
  const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], timeout })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()))
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => resolve(code ?? signal))
  })
  return { code, output }
}

/** Runs the suite; throws when there is no report to judge. */
const report = async (
  command: readonly [string, ...string[]],
  parts: readonly string[],
  file: string,
): Promise<Report> => {
  const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", ...parts]
  const reporter = ["--reporter", join(import.meta.dirname, "test-runtimes.ts")]
  const { code, output } = await run(
    [...command, ...vitest, ...reporter],
    { ...process.env, [REPORT]: file },
    1_800_000,
  )
  if (!existsSync(file)) throw new Error(`vitest ended with ${code} and without a report\n${output}`)
  const made = JSON.parse(await readFile(file, "utf8")) as Report
  const absent = parts.filter((part) => !made.tests.some((test) => test.file.startsWith(part)))
  const outside = [...made.outside, ...absent.map((part) => `${part} brought no test`)]
  const failed = outside.length > 0 || made.tests.some(({ state }) => state === "failed")
  // A crash that vitest noticed and no test tells of.
  return { tests: made.tests, outside: code !== 0 && !failed ? [`vitest ended with ${code}\n${output}`] : outside }
}

/** Whether a declaration is about a test: whole words from the start of its title, or of its groups' names and title. */
const isAbout = (key: string, { path }: Test): boolean =>
  path.some((_, at) => `${path.slice(at).join(" > ")} `.startsWith(`${key} `))

/** Counts, and says everything that is not plain success. */
const judge = ({ tests, outside }: Report, deviations: Readonly<Record<string, string>>): Total => {
  const total: Total = { passed: 0, failed: outside.length, skipped: 0, declared: 0 }
  for (const message of outside) say("FAILED outside a test", message)
  const used = new Set<string>()
  for (const test of tests) {
    const name = `${test.file} > ${test.path.join(" > ")}`
    const key = Object.keys(deviations).find((key) => isAbout(key, test))
    if (key !== undefined && test.state !== "skipped") used.add(key)
    if (test.state === "skipped") {
      total.skipped += 1
      say(`skipped ${name}`, test.note)
    } else if (key === undefined) {
      total[test.state] += 1
      if (test.state === "failed") say(`FAILED ${name}`, test.note)
    } else if (test.state === "failed") {
      total.declared += 1
      say(`declared ${name}`, deviations[key]!)
    } else {
      total.failed += 1
      say(`STALE ${name}`, `passes, but ${JSON.stringify(key)} is declared in runtime-deviations.json`)
    }
  }
  for (const key of Object.keys(deviations)) {
    if (used.has(key)) continue
    total.failed += 1
    say("STALE", `${JSON.stringify(key)} is declared in runtime-deviations.json and no test that ran is called so`)
  }
  return total
}

const say = (what: string, detail: string): void => {
  console.log(`  ${what}\n${detail.slice(0, 2_000).replaceAll(/^/gm, "    | ")}`)
}

const line = ({ passed, failed, skipped, declared }: Total): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped${declared === 0 ? "" : ` (${declared} declared)`}`

const main = async (): Promise<void> => {
  const asked = process.argv.slice(2)
  const known = runtimes.map(({ key }) => key)
  const wrong = asked.filter((key) => !known.includes(key))
  if (wrong.length > 0) throw new Error(`${wrong.join(", ")}: not a runtime; expected some of ${known.join(", ")}`)
  const declared = JSON.parse(await readFile(join(import.meta.dirname, "runtime-deviations.json"), "utf8")) as Readonly<
    Record<string, Readonly<Record<string, string>>>
  >
  const strange = Object.keys(declared).filter((key) => !known.includes(key))
  if (strange.length > 0) throw new Error(`runtime-deviations.json names ${strange.join(", ")}, which is not a runtime`)

  const folder = await mkdtemp(join(tmpdir(), "test-runtimes-"))
  const total: Total = { passed: 0, failed: 0, skipped: 0, declared: 0 }
  // One after the other: tests of time-outs do not like a busy machine.
  for (const { key, command } of runtimes.filter(({ key }) => asked.length === 0 || asked.includes(key))) {
    const started = performance.now()
    const made = await command()
      .then((words) =>
        report(
          words,
          [...suite, ...(key.startsWith("node") ? onNode : offNode), ...(key === "deno" ? [] : overHttp2)],
          join(folder, `${key}.json`),
        ),
      )
      .catch((error: unknown): Report => ({ tests: [], outside: [error instanceof Error ? error.message : "?"] }))
    const one = judge(made, made.tests.length === 0 ? {} : (declared[key] ?? {}))
    console.log(`${key}: ${line(one)} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
    for (const name of ["passed", "failed", "skipped", "declared"] as const) total[name] += one[name]
  }
  await rm(folder, { recursive: true, force: true })
  const tooFew = process.env["INGRESS_ALL"] === "1" && total.skipped > 0
  if (tooFew) console.log("INGRESS_ALL=1 allows no skipped test: the run fails.")
  console.log(`\n${line(total)}`)
  process.exitCode = total.failed === 0 && !tooFew ? 0 : 1
}

if (import.meta.main) await main()
