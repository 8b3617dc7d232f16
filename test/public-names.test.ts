import { spawn } from "node:child_process"
import { pathToFileURL } from "node:url"
import ts from "typescript"
import { describe, expect, it } from "vitest"
import { entries, exportedSymbols } from "./entries.ts"
import { everything, onlyInAll } from "./requirements.ts"

const { checker, exports } = exportedSymbols()

const resolved = (symbol: ts.Symbol) =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol

/** Every exported name of every entry: what exists at run time, and what is only a type. */
const publicNames = () =>
  exports.map(({ name, source, symbols }) => {
    const exported = symbols.map((each) => {
      const { flags } = resolved(each)
      return { name: each.name, isValue: Boolean(flags & ts.SymbolFlags.Value), typeOnly: isTypeOnly(each) }
    })
    const values = exported.filter((each) => each.isValue && !each.typeOnly).map((each) => each.name)
    const types = exported.map((each) => each.name).filter((each) => !values.includes(each))
    return { name, source, values: values.toSorted(), types: types.toSorted() }
  })

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

describe("a doc comment", () => {
  const hasNone = (symbol: ts.Symbol) => resolved(symbol).getDocumentationComment(checker).length === 0

  it("explains every public export", () => {
    const missing = exports.flatMap(({ name, symbols }) =>
      symbols.filter(hasNone).map((each) => `${name}: ${each.name}`),
    )
    expect(missing.join("\n")).toBe("")
  })

  it("is found where it is and missed where it is not", () => {
    const host = ts.createCompilerHost({})
    const text = "/** Doc. */\nexport const a = 1\nexport const b = 2\n// no doc\nexport interface C {}\n"
    const source = ts.createSourceFile("a.ts", text, ts.ScriptTarget.Latest, true)
    const program = ts.createProgram(
      ["a.ts"],
      {},
      { ...host, getSourceFile: (name) => (name === "a.ts" ? source : undefined) },
    )
    const own = program.getTypeChecker()
    const symbols = own.getExportsOfModule(own.getSymbolAtLocation(source)!)
    expect(symbols.filter((each) => each.getDocumentationComment(own).length === 0).map(({ name }) => name)).toEqual([
      "b",
      "C",
    ])
  })
})

// A Worker forbids work at import time, and a library that starts a timer there keeps its importer's process alive.
// Standard output and error are made when first looked at, which undici does; that is not the import's doing.
const probe = (sources: readonly string[]) => `
  void [process.stdout, process.stderr]
  let started = []
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    const start = globalThis[name]
    globalThis[name] = (...args) => (started.push(name), start(...args))
  }
  for (const source of ${JSON.stringify(sources.map((source) => pathToFileURL(source).href))}) {
    started = []
    const before = { handles: process.getActiveResourcesInfo(), globals: Object.getOwnPropertyNames(globalThis) }
    await import(source)
    const handles = [...process.getActiveResourcesInfo()]
    for (const each of before.handles) handles.splice(handles.indexOf(each), 1)
    const globals = Object.getOwnPropertyNames(globalThis).filter((each) => !before.globals.includes(each))
    const found = [...started, ...handles, ...globals]
    if (found.length > 0) console.log(source, "left behind:", ...found)
  }
`

const importAlone = async (sources: readonly string[]): Promise<{ output: string; code: number | string | null }> => {
  const flags = ["--conditions=@project-ingress/source", "--input-type=module", "--eval", probe(sources)]
  const child = spawn(process.execPath, flags, { timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  child.stdout.on("data", (data: Buffer) => (output += data.toString()))
  child.stderr.on("data", (data: Buffer) => (output += data.toString()))
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (exit, signal) => resolve(exit ?? `${signal}: still running after 60 s`))
  })
  return { output, code }
}

/** The entries of each package: a process for each would take a minute. */
const sourcesOf = Map.groupBy(entries, ({ name }) => name.split("/").slice(0, 2).join("/"))

describe.skipIf(!everything)(`an import has no side effect${onlyInAll}`, () => {
  it.each([...sourcesOf])("each entry of %s starts nothing and prints nothing", async (_, of) => {
    expect(await importAlone(of.map(({ source }) => source))).toEqual({ output: "", code: 0 })
  })
})
