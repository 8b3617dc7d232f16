import { spawn } from "node:child_process"
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import ts from "typescript"
import { describe, expect, it } from "vitest"

const root = new URL("..", import.meta.url).pathname

interface Entry {
  /** What an importer writes, and the runtime where there are several: `@project-ingress/forward/fetch (bun)`. */
  readonly name: string
  readonly source: string
}

/** The sources that a package's `exports` name, through nested conditions. */
const sources = (exported: unknown, conditions: readonly string[] = []): { conditions: string; source: string }[] => {
  if (typeof exported !== "object" || exported === null) return []
  return Object.entries(exported).flatMap(([key, value]) =>
    key === "@project-ingress/source"
      ? [{ conditions: conditions.length > 0 ? ` (${conditions.join(", ")})` : "", source: String(value) }]
      : sources(value, [...conditions, key]),
  )
}

const entries: Entry[] = readdirSync(join(root, "packages")).flatMap((folder) => {
  const manifest: { name: string; exports: Record<string, unknown> } = JSON.parse(
    readFileSync(join(root, "packages", folder, "package.json"), "utf8"),
  )
  return Object.entries(manifest.exports).flatMap(([path, exported]) =>
    sources(exported).map(({ conditions, source }) => ({
      name: manifest.name + path.slice(1) + conditions,
      source: join(root, "packages", folder, source),
    })),
  )
})

/** Every exported name of every entry: what exists at run time, and what is only a type. */
const publicNames = () => {
  const file = join(root, "tsconfig.json")
  const parsed = ts.parseJsonConfigFileContent(
    ts.readConfigFile(file, (path) => ts.sys.readFile(path)).config,
    ts.sys,
    root,
  )
  const program = ts.createProgram(
    entries.map(({ source }) => source),
    parsed.options,
  )
  const checker = program.getTypeChecker()
  return entries.map(({ name, source }) => {
    const module = program.getSourceFile(source)
    const symbol = module && checker.getSymbolAtLocation(module)
    if (!symbol) throw new Error(`${name}: ${source} is no module`)
    const exported = checker.getExportsOfModule(symbol).map((each) => {
      const flags = (each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each).flags
      return { name: each.name, isValue: Boolean(flags & ts.SymbolFlags.Value), typeOnly: isTypeOnly(each) }
    })
    const values = exported.filter((each) => each.isValue && !each.typeOnly).map((each) => each.name)
    const types = exported.map((each) => each.name).filter((each) => !values.includes(each))
    return { name, source, values: values.toSorted(), types: types.toSorted() }
  })
}

/** `export type { Class }` exports a value's type and not the value. */
const isTypeOnly = (symbol: ts.Symbol): boolean =>
  symbol.declarations?.some((each) => ts.isExportSpecifier(each) && ts.isTypeOnlyImportOrExportDeclaration(each)) ??
  false

describe("the public names", () => {
  const names = publicNames()

  it("are those of public-names.json (a wanted change: pnpm test test/public-names.test.ts -u)", async () => {
    const snapshot = Object.fromEntries(names.map(({ name, values, types }) => [name, { values, types }]))
    await expect(`${JSON.stringify(snapshot, null, 2)}\n`).toMatchFileSnapshot("public-names.json")
  })

  it.each(names)("$name exports at run time what its types say", async ({ source, values }) => {
    const module: Record<string, unknown> = await import(pathToFileURL(source).href)
    expect(Object.keys(module).toSorted()).toEqual(values)
  })
})

// A Worker forbids work at import time, and a library that starts a timer there keeps its importer's process alive.
// Standard output and error are made when first looked at, which undici does; that is not the import's doing.
const probe = (source: string) => `
  void [process.stdout, process.stderr]
  const started = []
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    const start = globalThis[name]
    globalThis[name] = (...args) => (started.push(name), start(...args))
  }
  const before = { handles: process.getActiveResourcesInfo(), globals: Object.getOwnPropertyNames(globalThis) }
  await import(${JSON.stringify(pathToFileURL(source).href)})
  const handles = [...process.getActiveResourcesInfo()]
  for (const each of before.handles) handles.splice(handles.indexOf(each), 1)
  const globals = Object.getOwnPropertyNames(globalThis).filter((each) => !before.globals.includes(each))
  const found = [...started, ...handles, ...globals]
  if (found.length > 0) console.log("left behind:", ...found)
`

const importAlone = async (source: string): Promise<{ output: string; code: number | string | null }> => {
  const flags = ["--conditions=@project-ingress/source", "--input-type=module", "--eval", probe(source)]
  const child = spawn(process.execPath, flags, { timeout: 5_000, stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  child.stdout.on("data", (data: Buffer) => (output += data.toString()))
  child.stderr.on("data", (data: Buffer) => (output += data.toString()))
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (exit, signal) => resolve(exit ?? `${signal}: still running after 5 s`))
  })
  return { output, code }
}

describe("an import has no side effect", () => {
  it.each(entries)("$name starts nothing and prints nothing", async ({ source }) => {
    expect(await importAlone(source)).toEqual({ output: "", code: 0 })
  })
})
