import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

/** A test that something else names: a file from the root of the repository, and the claim as it is written there. */
export type NamedTest = readonly [file: string, claim: string]

/** Those that are not there, as `file: claim`. */
export const missingTests = (named: readonly NamedTest[]): string[] =>
  named
    .filter(([file, claim]) => {
      const path = join(root, file)
      return !existsSync(path) || !readFileSync(path, "utf8").includes(claim)
    })
    .map(([file, claim]) => `${file}: ${claim}`)
