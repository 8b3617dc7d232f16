import { readdir, readFile, realpath, stat } from "node:fs/promises"
import { join, sep } from "node:path"
import { inChunks } from "../files/in-chunks.ts"
import type { ProjectProblem } from "../project-files/project-problem.ts"
import { FOLDER_FILES, PROJECT_FILES } from "../project-files/project-source.ts"
import { MAX_TEXT } from "../project-files/yaml-file.ts"

/** The texts of a folder's project files, and what could not be read. */
export interface LoadedProjects {
  /** By the path in the folder, for `readProjects`. */
  readonly files: ReadonlyMap<string, string>
  readonly problems: readonly ProjectProblem[]
}

/** More is no folder of projects. */
const MAX_PROJECTS = 10_000

/** Other spellings, each with the one that is read. */
const misspelt: Readonly<Record<string, string>> = {
  "docker-compose.yaml": "docker-compose.yml",
  "compose.yml": "docker-compose.yml",
  "compose.yaml": "docker-compose.yml",
  "itsup-project.yaml": "itsup-project.yml",
  "itsup.yaml": "itsup.yml",
  "traefik.yaml": "traefik.yml",
}

/**
 * Reads the project files of a folder. Nothing outside of it is read, also not through links. Rejects if the folder itself cannot be
 * read.
 */
export const loadProjects = async (
  folder: string,
  { onProgress = () => {} }: { readonly onProgress?: (project: string) => void } = {},
): Promise<LoadedProjects> => {
  const root = await realpath(folder)
  const names = (await readdir(root)).toSorted()
  if (names.length > MAX_PROJECTS + FOLDER_FILES.length)
    throw new Error(`the folder must hold at most ${MAX_PROJECTS} projects`)
  const loaded = await inChunks(names, (name) => loadEntry(root, name, onProgress))
  return {
    files: new Map(loaded.flatMap(({ files }) => [...files])),
    problems: loaded.flatMap(({ problems }) => problems),
  }
}

/** One file, or one project. */
const loadEntry = async (
  root: string,
  name: string,
  onProgress: (project: string) => void,
): Promise<LoadedProjects> => {
  const files = new Map<string, string>()
  const problems: ProjectProblem[] = []
  const loaded = { files, problems }
  const report = (file: string, message: string): void => void problems.push({ file, key: "", message })
  const load = async (path: string): Promise<void> => {
    try {
      const text = await readText(root, path)
      if ("text" in text) files.set(path, text.text)
      else report(path, text.problem)
    } catch (cause) {
      report(path, `cannot be read: ${codeOf(cause)}`)
    }
  }
  if (name.startsWith(".")) return loaded
  if (misspelt[name] !== undefined) report(name, `must be called ${misspelt[name]}`)
  if (FOLDER_FILES.some((each) => each === name)) {
    await load(name)
    return loaded
  }
  const isFolder = await stat(join(root, name)).then((found) => found.isDirectory(), codeOf)
  // A link that leads nowhere may be a project that was to be there.
  if (typeof isFolder === "string") report(name, `cannot be read: ${isFolder}`)
  if (isFolder !== true) return loaded
  onProgress(name)
  if (!(await isInside(root, name))) {
    report(name, "must not be a link that leaves the folder")
    return loaded
  }
  const found = await readdir(join(root, name)).catch((cause: unknown) => codeOf(cause))
  if (typeof found === "string") {
    report(name, `cannot be read: ${found}`)
    return loaded
  }
  for (const each of found.toSorted())
    if (misspelt[each] !== undefined) report(`${name}/${each}`, `must be called ${misspelt[each]}`)
  const own = PROJECT_FILES.filter((each) => found.includes(each))
  if (own.length === 0) report(name, `must hold one of ${PROJECT_FILES.join(", ")}`)
  for (const each of own) await load(`${name}/${each}`)
  return loaded
}

const readText = async (
  root: string,
  path: string,
): Promise<{ readonly text: string } | { readonly problem: string }> => {
  if (!(await isInside(root, path))) return { problem: "must not be a link that leaves the folder" }
  const file = join(root, path)
  const { size, ...found } = await stat(file).then((found) => ({ size: found.size, isFile: found.isFile() }))
  // A pipe would never end.
  if (!found.isFile) return { problem: "must be a file" }
  if (size > MAX_TEXT) return { problem: `must be of at most ${MAX_TEXT} bytes` }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file)) }
  } catch (cause) {
    if (cause instanceof TypeError) return { problem: "must be UTF-8" }
    throw cause
  }
}

const isInside = async (root: string, path: string): Promise<boolean> => {
  const real = await realpath(join(root, path))
  return real.startsWith(root.endsWith(sep) ? root : root + sep)
}

const codeOf = (cause: unknown): string => {
  const { code } = cause as { readonly code?: unknown }
  return typeof code === "string" ? code : "unknown"
}
