/**
 * What a user gets, checked as a user gets it: the six packages are built and packed, the tarballs are linted, installed
 * in an empty folder, and every TypeScript block of the READMEs and of `docs` is type-checked and, where marked `ts run`, run there.
 *
 *     pnpm check:packages
 *
 * `test/packages.test.ts` makes the same steps as tests.
 */
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"

const root = join(import.meta.dirname, "..")
const bin = (name: string) => join(root, "node_modules/.bin", name)

export interface Package {
  /** `@project-ingress/router` */
  readonly name: string
  /** The absolute path of its folder. */
  readonly folder: string
  /** What an importer writes, without `./package.json`: `@project-ingress/router/node`. */
  readonly entries: readonly string[]
  /** Its commands. */
  readonly bins: readonly string[]
}

export interface Block {
  /** `packages/router/README.md` */
  readonly file: string
  /** The line of the opening fence, from 1. */
  readonly line: number
  readonly code: string
  /** Whether the fence says `ts run`: it must end by itself with exit code 0. */
  readonly runs: boolean
}

export const packages = async (): Promise<Package[]> => {
  const folders = await readdir(join(root, "packages"))
  return Promise.all(
    folders.toSorted().map(async (each) => {
      const folder = join(root, "packages", each)
      const manifest: { name: string; exports: Record<string, unknown>; bin?: Record<string, string> } = JSON.parse(
        await readFile(join(folder, "package.json"), "utf8"),
      )
      const bins = Object.keys(manifest.bin ?? {})
      const paths = Object.keys(manifest.exports).filter((path) => path !== "./package.json")
      return { name: manifest.name, folder, entries: paths.map((path) => manifest.name + path.slice(1)), bins }
    }),
  )
}

export const build = (): Promise<string> => pnpm(["--filter", "./packages/*", "run", "build"], root)

/** Packs one package and gives the tarball's path. `pnpm pack` rewrites `workspace:` and `catalog:` versions. */
export const pack = async ({ name, folder }: Package, into: string): Promise<string> => {
  await pnpm(["pack", "--pack-destination", into], folder)
  const prefix = `${name.replace("@", "").replace("/", "-")}-`
  const tarball = (await readdir(into)).find((file) => file.startsWith(prefix) && file.endsWith(".tgz"))
  if (!tarball) throw new Error(`pnpm pack wrote no ${prefix}*.tgz`)
  return join(into, tarball)
}

export const publint = (tarball: string): Promise<string> => run(bin("publint"), ["--strict", tarball], root)

/** Types resolve for every entry as for an importer; ESM only, so what CommonJS and `node10` see is left out. */
export const attw = (tarball: string): Promise<string> => run(bin("attw"), [tarball, "--profile", "esm-only"], root)

/** An empty folder's project with nothing but the tarballs, their peers `effect` and `pg`, and types of `pg` and Node. */
export const install = async (tarballs: ReadonlyMap<string, string>, consumer: string): Promise<void> => {
  const catalog = await readFile(join(root, "pnpm-workspace.yaml"), "utf8")
  const pinned = (name: string) => new RegExp(`^  "?${name}"?: (\\S+)$`, "m").exec(catalog)?.[1] ?? "*"
  const beside = ["effect", "pg", "@types/pg", "@types/node"]
  const own = Object.fromEntries([...tarballs].map(([name, tarball]) => [name, `file:${tarball}`]))
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...own, ...Object.fromEntries(beside.map((name) => [name, pinned(name)])) },
    // The tarballs need each other by version, and that version may not be published yet.
    overrides: Object.fromEntries([...tarballs.keys()].map((name) => [name, `$${name}`])),
  }
  await mkdir(consumer, { recursive: true })
  await writeFile(join(consumer, "package.json"), JSON.stringify(manifest, null, 2))
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], consumer)
}

/** Every `ts` block of the READMEs and of the pages in `docs`. A block is a module of its own; `ts run` marks one that also runs. */
export const readmeBlocks = async (): Promise<Block[]> => {
  const readmes = (await packages()).map(({ folder }) => join(relative(root, folder), "README.md"))
  const pages = (await readdir(join(root, "docs"))).filter((name) => name.endsWith(".md")).toSorted()
  const files = ["README.md", ...readmes, ...pages.map((name) => join("docs", name))]
  const found = files
    .filter((file) => existsSync(join(root, file)))
    .map(async (file) => {
      const text = await readFile(join(root, file), "utf8")
      const fences = text.matchAll(/^```ts(?<info>[^\n]*)\n(?<code>.*?)^```$/gms)
      return [...fences].map(({ index, groups }) => ({
        file,
        line: text.slice(0, index).split("\n").length,
        code: groups?.["code"] ?? "",
        runs: groups?.["info"]?.trim() === "run",
      }))
    })
  return (await Promise.all(found)).flat()
}

/** `readme/packages-router-README.md-12.ts`, with the code on the lines it has in the README. */
const blockFile = ({ file, line }: Block) => `readme/${file.replaceAll("/", "-")}-${line}.ts`

/** Writes the READMEs' blocks, and one module that imports every entry, into the consumer's folder. */
export const writeSources = async (blocks: readonly Block[], entries: readonly string[], consumer: string) => {
  await mkdir(join(consumer, "readme"), { recursive: true })
  for (const block of blocks) {
    await writeFile(join(consumer, blockFile(block)), "\n".repeat(block.line) + block.code)
  }
  const imports = entries.map((entry, at) => `export * as entry${at} from "${entry}"\n`)
  await writeFile(join(consumer, "entries.ts"), imports.join(""))
}

export const resolutions = {
  nodenext: { module: "nodenext" },
  bundler: { module: "esnext", moduleResolution: "bundler" },
} as const

/** Type-checks all sources against the packed declarations, these included (`skipLibCheck: false`). */
export const typeCheck = async (resolution: keyof typeof resolutions, consumer: string): Promise<void> => {
  const compilerOptions = {
    ...resolutions[resolution],
    target: "es2023",
    lib: ["es2024", "esnext.disposable", "dom", "dom.iterable", "dom.asynciterable"],
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    moduleDetection: "force",
    skipLibCheck: false,
    noEmit: true,
  }
  const config = `tsconfig.${resolution}.json`
  await writeFile(join(consumer, config), JSON.stringify({ compilerOptions, include: ["entries.ts", "readme/*.ts"] }))
  await run(bin("tsc"), ["--pretty", "false", "-p", config], consumer)
}

export const runBlock = (block: Block, consumer: string): Promise<string> =>
  run(process.execPath, [blockFile(block)], consumer)

/** Imports every entry from the tarballs, in one process that must end by itself. */
export const runEntries = (consumer: string): Promise<string> => run(process.execPath, ["entries.ts"], consumer)

/** A command of a package, as installed: it must know `--help`. */
export const runBin = (name: string, consumer: string): Promise<string> =>
  run(join(consumer, "node_modules/.bin", name), ["--help"], consumer)

/** Runs a command to its end; what it printed, or an error that holds it. Takes at most two minutes. */
const run = async (command: string, args: readonly string[], cwd: string): Promise<string> => {
  // Our own package manager's and test runner's settings are not the consumer's, but for where packages come from.
  const ours = /^(?!npm_config_(registry|userconfig|cache|proxy|https_proxy|cafile)$)(npm_|pnpm_|VITEST)/i
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)))
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: 600_000 })
  let output = ""
  child.stdout.on("data", (data: Buffer) => (output += data.toString()))
  child.stderr.on("data", (data: Buffer) => (output += data.toString()))
  const end = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => resolve(code ?? signal))
  })
  if (end !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${end} in ${cwd}\n\n${output.trim()}`)
  return output
}

/** The pnpm that is on PATH (`pnpm run` and `npx pnpm` put themselves there), or else one through npx. */
const pnpm = async (args: readonly string[], cwd: string): Promise<string> => {
  const onPath = (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, "pnpm")))
  return onPath ? run("pnpm", args, cwd) : run("npx", ["-y", "pnpm@12", ...args], cwd)
}

const main = async (): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "check-packages-"))
  const consumer = join(folder, "consumer")
  const all = await packages()
  const blocks = await readmeBlocks()
  const tarballs = new Map<string, string>()
  let failures = 0

  const step = async (name: string, work: () => Promise<unknown>): Promise<boolean> => {
    const start = performance.now()
    const failure = await work().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    console.log(`${failure === undefined ? "ok    " : "FAILED"} ${name} (${seconds} s)`)
    if (failure === undefined) return true
    failures += 1
    console.log(failure.replaceAll(/^/gm, "       | "))
    return false
  }

  const ready =
    (await step("build", build)) &&
    (await step("pack", async () => {
      for (const each of all) tarballs.set(each.name, await pack(each, folder))
    }))
  for (const [name, tarball] of tarballs) {
    await step(`publint --strict ${name}`, () => publint(tarball))
    await step(`attw --profile esm-only ${name}`, () => attw(tarball))
  }
  if (ready && (await step("install the tarballs in an empty folder", () => install(tarballs, consumer)))) {
    const entries = all.flatMap((each) => each.entries)
    await writeSources(blocks, entries, consumer)
    await step(`types with nodenext: ${entries.length} entries, ${blocks.length} README blocks`, () =>
      typeCheck("nodenext", consumer),
    )
    await step("types with bundler", () => typeCheck("bundler", consumer))
    await step("import every entry", () => runEntries(consumer))
    for (const each of all.flatMap(({ bins }) => bins)) await step(`${each} --help`, () => runBin(each, consumer))
    for (const block of blocks.filter((each) => each.runs)) {
      await step(`run ${block.file}:${block.line}`, () => runBlock(block, consumer))
    }
  }
  await rm(folder, { recursive: true })
  console.log(failures === 0 ? "\nThe packages are ready to publish." : `\n${failures} failed.`)
  process.exitCode = failures === 0 ? 0 : 1
}

if (import.meta.main) await main()
