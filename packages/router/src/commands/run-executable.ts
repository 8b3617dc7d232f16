import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { BadArgument } from "./arguments.ts"

/** How another package's executable is found and run. */
export interface ExecutableOptions {
  /** The package whose manifest names it. */
  readonly package: string
  readonly executable: string
  readonly args: readonly string[]
  /** Files or folders from which the package is looked for, in this order. */
  readonly from: readonly string[]
}

/**
 * Runs the executable of a package that this one does not depend on, as git runs `git-lfs`. It has this process's input and output and gets
 * its signals; resolves to its exit code, or the signal that ended it.
 *
 * @throws {BadArgument} (rejects) if it is not installed
 */
export const runExecutable = async ({
  executable,
  args,
  from,
  ...options
}: ExecutableOptions): Promise<number | NodeJS.Signals> => {
  const file = findExecutable(options.package, executable, from)
  if (file === undefined) {
    throw new BadArgument(`this command is in another package, which is not installed: npm install ${options.package}`)
  }
  const child = spawn(process.execPath, [...process.execArgv, file, ...args], { stdio: "inherit" })
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal)
  for (const signal of signals) process.on(signal, pass)
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", reject)
      child.on("close", (code, signal) => resolve(code ?? signal ?? 1))
    })
  } finally {
    for (const signal of signals) process.off(signal, pass)
  }
}

const findExecutable = (name: string, executable: string, from: readonly string[]): string | undefined => {
  for (const place of from) {
    try {
      const manifest = createRequire(place).resolve(`${name}/package.json`)
      const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly bin?: Readonly<Record<string, string>> }
      if (bin?.[executable] !== undefined) return join(dirname(manifest), bin[executable])
    } catch {
      // Not there, or no package: the next place.
    }
  }
  return undefined
}
