import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"

const root = join(import.meta.dirname, "..")

/** A way into a package, as its `exports` name it. */
export interface Entry {
  /** What an importer writes, and the runtime where there are several: `@project-ingress/forward/fetch (bun)`. */
  readonly name: string
  /** The absolute path of its source. */
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

/** Every entry of the packages. */
export const entries: readonly Entry[] = readdirSync(join(root, "packages")).flatMap((folder) => {
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

/** A TypeScript program over every entry, and the exported symbols of each. */
export const exportedSymbols = (): { checker: ts.TypeChecker; exports: (Entry & { symbols: ts.Symbol[] })[] } => {
  const file = join(root, "tsconfig.json")
  const config: unknown = ts.readConfigFile(file, (path) => ts.sys.readFile(path)).config
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(
    entries.map(({ source }) => source),
    options,
  )
  const checker = program.getTypeChecker()
  const exports = entries.map((entry) => {
    const module = program.getSourceFile(entry.source)
    const symbol = module && checker.getSymbolAtLocation(module)
    if (!symbol) throw new Error(`${entry.name}: ${entry.source} is not a module`)
    return { name: entry.name, source: entry.source, symbols: checker.getExportsOfModule(symbol) }
  })
  return { checker, exports }
}
