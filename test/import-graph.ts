import { readFileSync, readdirSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import ts from "typescript"

/** File → the files of this repository that it imports, type imports included, as paths from the root. */
export type Graph = ReadonlyMap<string, readonly string[]>

const root = join(import.meta.dirname, "..")

/** What each entry of our packages is written in: `@project-ingress/router/node` → its source files, one for each runtime. */
const entrySources: ReadonlyMap<string, readonly string[]> = new Map(
  readdirSync(join(root, "packages")).flatMap((folder) => {
    const manifest: { name: string; exports: Record<string, unknown> } = JSON.parse(
      readFileSync(join(root, "packages", folder, "package.json"), "utf8"),
    )
    return Object.entries(manifest.exports).map(
      ([path, exported]) =>
        [
          manifest.name + path.slice(1),
          sources(exported).map((source) => posix.join("packages", folder, source)),
        ] as const,
    )
  }),
)

/** The sources that an entry of `exports` names, through nested conditions. */
function sources(exported: unknown): string[] {
  if (typeof exported !== "object" || exported === null) return []
  return Object.entries(exported).flatMap(([key, value]) =>
    key === "@project-ingress/source" ? [String(value)] : sources(value),
  )
}

/** Reads which of our files each file imports by any means: import, export from, import(), and import types. */
export const importGraph = (files: readonly string[], read: (file: string) => string): Graph =>
  new Map(
    files.map((file) => {
      const { importedFiles } = ts.preProcessFile(read(file), true, true)
      const imports = importedFiles.flatMap(({ fileName }) =>
        fileName.startsWith(".") ? [posix.join(dirname(file), fileName)] : (entrySources.get(fileName) ?? []),
      )
      return [file, [...new Set(imports)]] as const
    }),
  )

/** One circle of each group of files that import each other, from its alphabetically first file back to that file. */
export const circles = (graph: Graph): string[][] => {
  const done = new Set<string>()
  return [...graph.keys()].toSorted().flatMap((start) => {
    if (done.has(start)) return []
    const circle = shortestWayBack(graph, start)
    for (const file of circle ?? []) done.add(file)
    return circle ? [circle] : []
  })
}

const shortestWayBack = (graph: Graph, start: string): string[] | undefined => {
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const file of queue) {
    for (const next of graph.get(file) ?? []) {
      if (next === start) return [...pathTo(file, cameFrom), start]
      if (!cameFrom.has(next)) {
        cameFrom.set(next, file)
        queue.push(next)
      }
    }
  }
  return undefined
}

const pathTo = (end: string, cameFrom: ReadonlyMap<string, string>): string[] => {
  const before = cameFrom.get(end)
  return before === undefined ? [end] : [...pathTo(before, cameFrom), end]
}
