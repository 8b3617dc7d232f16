import type { IncomingMessage, RequestOptions } from "node:http"

/** PEM texts. */
export interface EngineTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface EngineAnswer {
  readonly status: number
  readonly body: string
}

/** The Engine API of one daemon. */
export interface DockerEngine {
  /** A request to a path without its version. Rejects with the transport's own error; any status is an answer. */
  request(method: "GET" | "POST", path: string, signal: AbortSignal): Promise<EngineAnswer>
  /** The lines of an answer that goes on until the signal ends. Throws when the engine ends it, or refuses. */
  lines(path: string, signal: AbortSignal): AsyncIterable<string>
  /** The host that published ports are reached at. Throws as `request` rejects. */
  hostname(): string
}

interface EngineOptions {
  readonly host?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly tls?: EngineTls
}

/** What this module was written against; an older daemon says what it speaks. */
const NEWEST = [1, 54] as const
const OLDEST = [1, 40] as const
/** Far above any answer about one container, and any event. */
const MAX_BODY = 4 * 1024 * 1024

/**
 * Over `node:http`, which Node, Bun and Deno all have and which speaks to a Unix socket on all of them. It is imported when
 * it is first needed, so that the module can stand in a bundle for Workers.
 */
export const dockerEngine = (options: EngineOptions): DockerEngine => {
  const env = (): Readonly<Record<string, string | undefined>> => options.env ?? globalThis.process?.env ?? {}
  let version: string | undefined

  const address = (): URL => {
    const text = options.host ?? (env()["DOCKER_HOST"] || "unix:///var/run/docker.sock")
    if (!/^(?:unix|tcp|http|https):\/\//.test(text) || !URL.canParse(text)) {
      throw new TypeError("a Docker host must be unix:///path or tcp://host:port")
    }
    return new URL(text)
  }

  const connection = async (): Promise<RequestOptions & { readonly secure: boolean }> => {
    const url = address()
    if (url.protocol === "unix:") return { socketPath: decodeURIComponent(url.pathname), host: "docker", secure: false }
    const tls = options.tls ?? (await tlsFromFiles(env()))
    const secure = url.protocol === "https:" || tls !== undefined
    return { host: unbracketed(url.hostname), port: url.port || (secure ? 2376 : 2375), ...tls, secure }
  }

  const open = async (method: string, path: string, signal: AbortSignal): Promise<IncomingMessage> => {
    const { secure, ...to } = await connection()
    const { request } = secure ? await import("node:https") : await import("node:http")
    return new Promise((resolve, reject) => {
      // No kept connections: the daemon closes them as it likes, and a new one costs a fraction of a millisecond.
      request({ ...to, method, path, signal, agent: false, headers: { Connection: "close" } }, resolve)
        .on("error", reject)
        .end()
    })
  }

  const send = async (method: string, path: string, signal: AbortSignal): Promise<EngineAnswer> => {
    const answer = await open(method, path, signal)
    return { status: answer.statusCode ?? 0, body: await readText(answer) }
  }

  const negotiate = async (signal: AbortSignal): Promise<string> => {
    const { status, body } = await send("GET", "/version", signal)
    if (status !== 200) throw refused("/version", status)
    return (version = spokenVersion(JSON.parse(body)))
  }

  return {
    async request(method, path, signal) {
      const spoken = version ?? (await negotiate(signal))
      const answer = await send(method, `/v${spoken}${path}`, signal)
      if (!wantsAnother(answer)) return answer
      return send(method, `/v${await negotiate(signal)}${path}`, signal)
    },
    async *lines(path, signal) {
      let answer = await open("GET", `/v${version ?? (await negotiate(signal))}${path}`, signal)
      if (answer.statusCode === 400 && wantsAnother({ status: 400, body: await readText(answer) })) {
        answer = await open("GET", `/v${await negotiate(signal)}${path}`, signal)
      }
      if (answer.statusCode !== 200) {
        answer.destroy()
        throw refused(path.split("?")[0]!, answer.statusCode ?? 0)
      }
      yield* linesOf(answer)
      throw Object.assign(new Error("the Docker Engine ended its answer"), { code: "ECONNRESET" })
    },
    hostname() {
      const url = address()
      return url.protocol === "unix:" ? "127.0.0.1" : unbracketed(url.hostname)
    },
  }
}

const refused = (path: string, status: number): Error =>
  Object.assign(new Error(`GET ${path}: ${status}`), { code: `HTTP ${status}` })

// The daemon was replaced underneath. The text is JSON in one case and plain in the other.
const wantsAnother = ({ status, body }: EngineAnswer): boolean => status === 400 && /is too (?:old|new)/.test(body)

const unbracketed = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

/** The newest version that both sides speak. Throws when there is none. */
const spokenVersion = (answer: unknown): string => {
  const { ApiVersion, MinAPIVersion } = answer as { ApiVersion?: unknown; MinAPIVersion?: unknown }
  const newest = numbers(ApiVersion)
  const oldest = numbers(MinAPIVersion) ?? OLDEST
  const spoken = newest === undefined || before(NEWEST, newest) ? NEWEST : newest
  if (before(spoken, OLDEST) || before(spoken, oldest)) {
    throw Object.assign(new Error("the Docker Engine speaks no API version from 1.40 to 1.54"), { code: "API_VERSION" })
  }
  return spoken.join(".")
}

const numbers = (text: unknown): readonly [number, number] | undefined => {
  const found = typeof text === "string" ? /^(\d+)\.(\d+)$/.exec(text) : null
  return found === null ? undefined : [Number(found[1]), Number(found[2])]
}

const before = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])

const readText = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BODY) throw new Error("the Docker Engine's answer is too large")
    chunks.push(chunk)
  }
  return new TextDecoder().decode(await new Blob(chunks as BlobPart[]).arrayBuffer())
}

/** By line; what json-seq puts before each (RFC 7464 §2.2) is left out. */
async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  const text = new TextDecoder()
  let rest = ""
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    const lines = (rest + text.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    if (rest.length > MAX_BODY) throw new Error("the Docker Engine's line is too long")
    for (const line of lines) {
      const bare = (line.startsWith("\u001e") ? line.slice(1) : line).trim()
      if (bare !== "") yield bare
    }
  }
}

// As the docker command does: DOCKER_TLS_VERIFY, when it is not empty, asks for TLS with the files of DOCKER_CERT_PATH.
const tlsFromFiles = async (env: Readonly<Record<string, string | undefined>>): Promise<EngineTls | undefined> => {
  if (!env["DOCKER_TLS_VERIFY"]) return undefined
  const path = env["DOCKER_CERT_PATH"] || `${env["HOME"] ?? ""}/.docker`
  const { readFile } = await import("node:fs/promises")
  const [ca, cert, key] = await Promise.all(
    ["ca", "cert", "key"].map((name) => readFile(`${path}/${name}.pem`, "utf8")),
  )
  return { ca: ca!, cert: cert!, key: key! }
}
