import { spawn } from "node:child_process"

/** What a command came to. */
export interface CommandResult {
  /** The exit code; -1 if there is no such program. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `docker` with arguments, in a folder, and resolves whatever it came to. Rejects once the signal is aborted. */
export type DockerCommand = (
  args: readonly string[],
  options: { readonly cwd: string; readonly input?: string; readonly signal: AbortSignal },
) => Promise<CommandResult>

/** More than that of an output is not kept, in bytes. */
const MAX_OUTPUT = 1_000_000

/** The `docker` on the PATH. */
export const dockerCommand: DockerCommand = (args, { cwd, input, signal }) =>
  new Promise((resolve, reject) => {
    const child = spawn("docker", args, { cwd, signal, stdio: ["pipe", "pipe", "pipe"] })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    collect(child.stdout, stdout)
    collect(child.stderr, stderr)
    child.on("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") resolve({ code: -1, stdout: "", stderr: "there is no docker" })
      else reject(cause)
    })
    child.on("close", (code) => {
      resolve({ code: code ?? 1, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() })
    })
    // A program that ends before it has read its input.
    child.stdin.on("error", () => undefined)
    child.stdin.end(input ?? "")
  })

const collect = (stream: NodeJS.ReadableStream, chunks: Buffer[]): void => {
  let bytes = 0
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= MAX_OUTPUT) chunks.push(chunk)
  })
}
