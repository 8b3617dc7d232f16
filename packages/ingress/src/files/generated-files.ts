import { createHash, randomBytes } from "node:crypto"
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { GeneratedFile } from "../fronts/front.ts"
import { HandEdited } from "./hand-edited.ts"
import { inChunks } from "./in-chunks.ts"
import { unifiedDiff } from "./unified-diff.ts"

/** Which files of a folder are generated, and what they were when they were written. */
const MANIFEST = ".project-ingress.json"

/** How a folder of generated files is compared. */
export interface FilesOptions {
  /** Values that must not be shown in a diff. */
  readonly secrets?: readonly string[]
  /** True: also over files that somebody has changed or made by hand. Default false. */
  readonly overwrite?: boolean
}

/** What would become of a folder. Nothing has been written. */
export interface FilesPlan {
  /** A unified diff of all that changes, without secrets; empty: nothing does. */
  readonly diff: string
  /** Paths that are written, in the order of the files given, and then those that are removed. */
  readonly written: readonly string[]
  readonly removed: readonly string[]
  /**
   * Writes what has changed, each file whole by a rename (a move, as watchers see it); removes afterwards what is generated no more. One
   * after the other: `afterEach` is awaited before the next one.
   */
  apply(afterEach?: (path: string) => void | Promise<void>): Promise<void>
  /** Rejects if a file is not what was planned. */
  readBack(): Promise<void>
  /** Restores every file, also after an `apply` that stopped half-way. */
  rollBack(): Promise<void>
}

type Hashes = Readonly<Record<string, readonly string[]>>

interface Change {
  readonly path: string
  readonly before: GeneratedFile | undefined
  readonly after: GeneratedFile | undefined
}

/**
 * Compares a folder with the files that shall be in it. Files that nobody generated stay as they are.
 *
 * @throws {HandEdited} (rejects) if a file that would be written or removed is not as it was generated
 * @throws {TypeError} (rejects) for a path that would leave the folder
 */
export const planFiles = async (
  folder: string,
  files: readonly GeneratedFile[],
  { secrets = [], overwrite = false }: FilesOptions = {},
): Promise<FilesPlan> => {
  for (const { path } of files) requireInside(path)
  const known = await readManifest(folder)
  const wanted = new Set(files.map(({ path }) => path))
  if (wanted.size !== files.length) throw new TypeError("planFiles: two files have one path")
  const changes: Change[] = []
  const found = await inChunks(files, ({ path }) => current(folder, path))
  for (const [at, after] of files.entries()) {
    const before = found[at]
    if (before !== undefined && before.text === after.text && before.mode === (after.mode ?? 0o644)) continue
    if (!overwrite) requireGenerated(known, before)
    changes.push({ path: after.path, before, after })
  }
  for (const path of Object.keys(known)) {
    if (wanted.has(path)) continue
    requireInside(path)
    const before = await current(folder, path)
    if (before === undefined) continue
    if (!overwrite) requireGenerated(known, before)
    changes.push({ path, before, after: undefined })
  }
  const final = hashes(files)
  // As long as files are being written, what was there and what shall be there are both ours: a process that is killed between leaves
  // nothing that looks as if somebody had edited it.
  const between = merged(merged(known, hashes(changes.flatMap(({ before }) => before ?? []))), final)
  let diff: string | undefined
  const isSame = changes.length === 0 && JSON.stringify(final) === JSON.stringify(known)

  return {
    // Only when it is asked for: it takes longer than all the rest.
    get diff() {
      return (diff ??= changes
        .map(({ path, before, after }) =>
          unifiedDiff({ path, text: before?.text }, { path, text: after?.text }, secrets),
        )
        .join(""))
    },
    written: changes.filter(({ after }) => after !== undefined).map(({ path }) => path),
    removed: changes.filter(({ after }) => after === undefined).map(({ path }) => path),
    apply: async (afterEach) => {
      if (isSame) return
      await mkdir(folder, { recursive: true })
      await writeManifest(folder, between)
      for (const { path, after } of changes) {
        await put(folder, path, after)
        await afterEach?.(path)
      }
      await writeManifest(folder, final)
    },
    readBack: async () => {
      await inChunks(files, async ({ path, text }) => {
        const found = await current(folder, path)
        if (found?.text !== text) throw new Error(`${path} is not what was written`)
      })
    },
    rollBack: async () => {
      if (isSame) return
      await writeManifest(folder, between)
      // The other way round: what is referred to is there before what refers to it.
      for (const { path, before } of changes.toReversed()) await put(folder, path, before)
      await writeManifest(folder, known)
    },
  }
}

const requireInside = (path: string): void => {
  const isInside = /^[\w.@-]+(?:\/[\w.@-]+)*$/.test(path) && !path.split("/").some((part) => /^\.+$/.test(part))
  if (!isInside || path === MANIFEST) throw new TypeError("planFiles: a path must be relative and stay in the folder")
}

const requireGenerated = (known: Hashes, before: GeneratedFile | undefined): void => {
  if (before === undefined) return
  const hashesOfPath = Object.hasOwn(known, before.path) ? known[before.path]! : []
  if (!hashesOfPath.includes(hash(before.text))) {
    throw new HandEdited({ path: before.path, isGenerated: hashesOfPath.length > 0 })
  }
}

const hash = (text: string): string => createHash("sha256").update(text).digest("hex")

const hashes = (files: readonly GeneratedFile[]): Hashes =>
  Object.fromEntries(files.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, text }) => [path, [hash(text)]]))

const merged = (a: Hashes, b: Hashes): Hashes => {
  const all: Record<string, readonly string[]> = { ...a }
  for (const [path, added] of Object.entries(b)) all[path] = [...new Set([...(all[path] ?? []), ...added])]
  return all
}

const readManifest = async (folder: string): Promise<Hashes> => {
  const text = (await current(folder, MANIFEST))?.text
  if (text === undefined) return {}
  try {
    const { files } = JSON.parse(text) as { readonly files?: unknown }
    if (typeof files === "object" && files !== null && !Array.isArray(files)) return files as Hashes
  } catch {
    // Below.
  }
  // Without it nobody can tell generated files from others: none is taken for generated.
  return {}
}

const writeManifest = (folder: string, files: Hashes): Promise<void> =>
  put(folder, MANIFEST, { path: MANIFEST, text: `${JSON.stringify({ files }, undefined, 2)}\n` })

const current = async (folder: string, path: string): Promise<GeneratedFile | undefined> => {
  const file = join(folder, path)
  try {
    const [text, { mode }] = await Promise.all([readFile(file, "utf8"), stat(file)])
    return { path, text, mode: mode & 0o777 }
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown }
    // ENOTDIR: a file stands where its folder would be.
    if (code === "ENOENT" || code === "ENOTDIR") return undefined
    throw cause
  }
}

/** Writes a file whole, or removes it. */
const put = async (folder: string, path: string, file: GeneratedFile | undefined): Promise<void> => {
  const target = join(folder, path)
  if (file === undefined) {
    await rm(target, { force: true })
    return
  }
  await mkdir(dirname(target), { recursive: true })
  // No ending that a front reads: Traefik takes every `.yml` of a folder.
  const temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`
  const mode = file.mode ?? 0o644
  const handle = await open(temporary, "wx", mode)
  try {
    await handle.writeFile(file.text)
    await handle.sync()
    await handle.close()
    // The umask may have taken permissions away.
    await chmod(temporary, mode)
    await rename(temporary, target)
  } catch (cause) {
    await handle.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw cause
  }
}
