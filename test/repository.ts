import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const skipped = new Set(["node_modules", "dist", "coverage", ".git", ".cache"])

/** Files of the repository, as paths from its root: those that git would commit, or, without git, those outside of build folders. */
export const trackedFiles = (wanted: (file: string) => boolean): string[] => {
  const all = fromGit() ?? fromFolders("")
  return all.filter((file) => wanted(file) && existsSync(join(root, file))).toSorted()
}

const fromGit = (): string[] | undefined => {
  try {
    const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    const listed = execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return listed.split("\0").filter((file) => file !== "")
  } catch {
    return undefined // a tarball of the sources, or a machine without git
  }
}

const fromFolders = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((each) => {
    const path = folder === "" ? each.name : `${folder}/${each.name}`
    if (each.isDirectory()) return skipped.has(each.name) ? [] : fromFolders(path)
    return each.isFile() ? [path] : []
  })
