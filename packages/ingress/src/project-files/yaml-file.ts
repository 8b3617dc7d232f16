import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from "yaml"
import type { Document, Node, ParsedNode } from "yaml"
import type { ProjectProblem } from "./project-problem.ts"

/** A key path: names and indices. */
export type KeyPath = readonly (string | number)[]

/** One document of a file. */
export interface YamlDocument {
  readonly value: unknown
  readonly document: Document.Parsed
  /** A problem at a key, or at the nearest one above that is there. `sentence` follows the key: "must be …". */
  readonly problem: (path: KeyPath, sentence: string) => ProjectProblem
}

/** What a file holds, or all that is wrong with its syntax. */
export type YamlFile =
  | { readonly documents: readonly YamlDocument[]; readonly problems?: never }
  | { readonly problems: readonly ProjectProblem[]; readonly documents?: never }

/** In UTF-16 units. More is no file of a person. */
export const MAX_TEXT = 262_144
/** As often may aliases be expanded: a few lines can stand for terabytes. */
const MAX_ALIASES = 100
const MAX_DOCUMENTS = 1_000

/**
 * Reads YAML 1.2, of which JSON is a part. Keys are text and unique. Without `compose`, tags and merge keys have no meaning and
 * are refused.
 */
export const readYaml = (
  file: string,
  given: string,
  { compose = false }: { readonly compose?: boolean } = {},
): YamlFile => {
  if (given.length > MAX_TEXT) return { problems: [{ file, key: "", message: `must be of at most ${MAX_TEXT} bytes` }] }
  const lines = new LineCounter()
  const at = (offset: number): { readonly line: number; readonly column: number } => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const syntax = (offset: number, message: string): ProjectProblem => ({ file, ...at(offset), key: "", message })
  // A byte order mark would be a column.
  const parsed = parseAllDocuments(given.replace(/^\uFEFF/, ""), {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    // Its own check compares every key with every other.
    uniqueKeys: false,
    merge: compose,
    resolveKnownTags: false,
    logLevel: "silent",
  })
  const found: readonly Document.Parsed[] = "empty" in parsed ? [] : parsed
  if (found.length > MAX_DOCUMENTS) return { problems: [syntax(0, `must hold at most ${MAX_DOCUMENTS} documents`)] }
  const problems: ProjectProblem[] = []
  const documents: YamlDocument[] = []
  for (const document of found) {
    const faults = [...document.errors, ...(compose ? [] : document.warnings)]
    problems.push(...faults.slice(0, 1).map(({ pos, code }) => syntax(pos[0], `is not YAML: ${faultText(code)}`)))
    if (faults.length > 0) continue
    problems.push(...doubleKeys(document).map((offset) => syntax(offset, "must have each key once")))
    const problem = (path: KeyPath, sentence: string): ProjectProblem => ({
      file,
      ...at(offsetOf(document, path)),
      key: path.join("."),
      message: `${path.length === 0 ? "the document" : path.join(".")} ${sentence}`,
    })
    try {
      documents.push({ value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown, document, problem })
    } catch {
      // Of an alias that leads nowhere, or of too many.
      problems.push(syntax(0, `must use aliases that exist, and expand at most ${MAX_ALIASES}`))
    }
  }
  return problems.length > 0 ? { problems } : { documents }
}

/** `BAD_INDENT`: "bad indent". The parser's own sentences quote the file. */
const faultText = (code: string): string =>
  code === "TAG_RESOLVE_FAILED" ? "tags have no meaning here" : code.toLowerCase().replaceAll("_", " ")

const doubleKeys = (document: Document.Parsed): readonly number[] => {
  const found: number[] = []
  visit(document, {
    Map: (_, map) => {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        if (!isScalar(key)) continue
        const name = String(key.value)
        // Merge keys may stand several times.
        if (seen.has(name) && name !== "<<") found.push(key.range?.[0] ?? 0)
        seen.add(name)
      }
    },
  })
  return found
}

/** Where a key stands; of what is missing, where the nearest one above does. */
const offsetOf = (document: Document.Parsed, path: KeyPath): number => {
  let node: Node | null | undefined = document.contents
  let offset = node?.range?.[0] ?? 0
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
      if (pair === undefined) return offset
      offset = (pair.key as ParsedNode).range?.[0] ?? offset
      node = pair.value as Node | null
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | null | undefined
      if (item === undefined || item === null) return offset
      offset = item.range?.[0] ?? offset
      node = item
    } else return offset
  }
  return offset
}
