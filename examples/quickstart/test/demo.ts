import { spawn } from "node:child_process"
import { once } from "node:events"
import * as http from "node:http"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

/** A running demo: the very command that `pnpm demo` runs. */
export interface Demo extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  readonly output: () => string
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
  readonly attach: (project: string, machine: string) => Promise<void>
  readonly detach: (project: string) => Promise<void>
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** One request to a hostname that is not in DNS: the connection goes to a port of 127.0.0.1 or elsewhere, the name into `Host`. */
export const ask = (
  door: number | { readonly host: string; readonly port: number },
  host: string,
  options: {
    readonly method?: string
    readonly path?: string
    readonly headers?: Readonly<Record<string, string>>
  } = {},
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const request = http.request(
      {
        ...(typeof door === "number" ? { host: "127.0.0.1", port: door } : door),
        agent: false,
        method: options.method ?? "GET",
        path: options.path ?? "/",
        headers: { ...options.headers, host },
        timeout: 60_000,
      },
      (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (text: string) => (body += text))
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
        response.on("error", reject)
      },
    )
    request.on("timeout", () => request.destroy(new Error("no response in 60 s")))
    request.on("error", reject).end()
  })

/** Starts the command. Resolves at once: `ready` waits. */
export const spawnDemo = (environment: Readonly<Record<string, string>>) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", main], {
    env: { ...process.env, PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let output = ""
  const waiting = new Set<() => void>()
  const hear = (text: string): void => {
    output += text
    for (const look of waiting) look()
  }
  child.stdout.setEncoding("utf8").on("data", hear)
  child.stderr.setEncoding("utf8").on("data", hear)
  const exited = once(child, "close").then(([code]) => {
    hear(`\nexited with ${code}\n`)
    return code as number | null
  })
  return {
    child,
    exited,
    output: () => output,
    /** Resolves when the output holds the text; rejects when the command ends first. */
    said: (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.includes(text)) resolve()
          else if (output.includes("\nexited with ")) reject(new Error(`never said ${text}:\n${output}`))
          else return
          waiting.delete(look)
        }
        waiting.add(look)
        look()
      }),
  }
}

/** Starts the command and waits until it serves. */
export const startDemo = async (environment: Readonly<Record<string, string>>): Promise<Demo> => {
  const { child, exited, output, said } = spawnDemo(environment)
  await said("ready http://localhost:")
  const port = Number(/ready http:\/\/localhost:(\d+)\//.exec(output())![1])
  const stop = (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    child.kill(signal)
    return exited
  }
  const post = async (path: string): Promise<void> => {
    const { status, body } = await ask(port, `localhost:${port}`, { method: "POST", path })
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`)
  }
  return {
    port,
    pid: child.pid!,
    output,
    stop,
    attach: (project, machine) => post(`/attach?project=${project}&machine=${machine}`),
    detach: (project) => post(`/detach?project=${project}`),
    [Symbol.asyncDispose]: async () => {
      await stop()
    },
  }
}

/** The child processes that a demo said it started, as far as they run. */
export const runningChildren = (output: string): readonly number[] =>
  [...output.matchAll(/as process (\d+)/g)]
    .map((match) => Number(match[1]))
    .filter((pid) => {
      try {
        process.kill(pid, 0)
        return true
      } catch {
        return false
      }
    })
