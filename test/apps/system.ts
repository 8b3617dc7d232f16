import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Where the system's packages put programs, whatever a shell of this user finds first. */
const folders = ["/usr/bin", "/usr/sbin", ...(process.env["PATH"] ?? "").split(delimiter)]

/** The path of a program of the system; `undefined` if it is not installed. */
export const systemProgram = (name: string): string | undefined =>
  folders.map((folder) => join(folder, name)).find((path) => existsSync(path))

/** Why an app cannot run: the first of its programs that is not installed. */
export const missingPrograms =
  (...names: readonly string[]) =>
  (): string | undefined => {
    const missing = names.find((name) => systemProgram(name) === undefined)
    return missing === undefined ? undefined : `${missing} is not installed`
  }
