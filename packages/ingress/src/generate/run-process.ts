import type { GenerateSurroundings } from "./run-generate.ts"

/**
 * Runs a command in this process, and ends it with its exit code. A reader that is gone, as `head` is, ends nothing: what was to be
 * written to files is written.
 */
export const runProcess = async (
  run: (surroundings: Omit<GenerateSurroundings, "exporters">) => Promise<number>,
): Promise<void> => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EPIPE") throw cause
    })
  }
  const { stdout, stderr, env: environment } = process
  process.exitCode = await run({ stdout, stderr, environment, workingDirectory: process.cwd() })
}
