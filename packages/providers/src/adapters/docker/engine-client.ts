import type { IncomingMessage } from "node:http"
import type { RequestOptions } from "node:https"

/** PEM texts. `cert` and `key` go together. */
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
  /** A request to a path without its version; any status is an answer. Rejects with an `EngineFailure`, or by the signal. */
  request(method: "GET" | "POST", path: string, signal: AbortSignal): Promise<EngineAnswer>
  /** The lines of an answer that goes on until the signal ends. Throws when the engine ends it, or refuses. */
  lines(path: string, signal: AbortSignal): AsyncIterable<string>
  /** The host that published ports are reached at. Throws as `request` rejects. */
  hostname(): string
}

/** Why an engine gave no answer. */
export class EngineFailure extends Error {
  /** Short, for logs: `ECONNREFUSED`, `TLS: CERT_HAS_EXPIRED`. No secret. */
  readonly reason: string
  /** The engine, or the way to it, does not let us in. */
  readonly refused: boolean
  constructor(
    reason: string,
    { cause, refused = false }: { readonly cause?: unknown; readonly refused?: boolean } = {},
  ) {
    super(reason, cause === undefined ? undefined : { cause })
    this.reason = reason
    this.refused = refused
  }
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
 *
 * @throws {TypeError} naming the option that is wrong and what it accepts
 */
export const dockerEngine = (options: EngineOptions): DockerEngine => {
  const env = (): Readonly<Record<string, string | undefined>> => options.env ?? globalThis.process?.env ?? {}
  const given = options.host === undefined ? undefined : parseHost(options.host)
  if (options.host !== undefined && given === undefined) throw new TypeError(`host must be ${HOSTS}`)
  if (options.tls !== undefined) checkTls(options.tls)
  let version: string | undefined

  const address = (): Address => {
    const found = given ?? parseHost(env()["DOCKER_HOST"] || "unix:///var/run/docker.sock")
    if (found === undefined) throw new EngineFailure(`DOCKER_HOST must be ${HOSTS}`)
    return found
  }

  const connection = async (): Promise<{ readonly to: RequestOptions; readonly secure: boolean }> => {
    const { socketPath, host, port, secure } = address()
    if (socketPath !== undefined) return { to: { socketPath, host }, secure: false }
    const tls = options.tls ?? (await tlsFromFiles(env()))
    if (!secure && tls === undefined) return { to: { host, port: port ?? "2375" }, secure: false }
    return { to: { host, port: port ?? "2376", ...tls }, secure: true }
  }

  const open = async (method: string, path: string, signal: AbortSignal): Promise<IncomingMessage> => {
    if (onWorkers()) throw new EngineFailure("docker runs on Node, Bun and Deno, not on Workers")
    const { to, secure } = await connection()
    const { request } = secure ? await import("node:https") : await import("node:http")
    try {
      return await new Promise((resolve, reject) => {
        // No kept connections: the daemon closes them as it likes, and a new one costs a fraction of a millisecond.
        request({ ...to, method, path, signal, agent: false, headers: { Connection: "close" } }, resolve)
          .on("error", reject)
          .end()
      })
    } catch (cause) {
      throw signal.aborted ? cause : transportFailure(cause, secure)
    }
  }

  const send = async (method: string, path: string, signal: AbortSignal): Promise<EngineAnswer> => {
    const answer = await open(method, path, signal)
    return { status: answer.statusCode ?? 0, body: await readText(answer, signal) }
  }

  const negotiate = async (signal: AbortSignal): Promise<string> => {
    const { status, body } = await send("GET", "/version", signal)
    // An engine that speaks TLS says so here to a client that does not.
    if (status !== 200) throw failedWith(status, new Error(body.slice(0, 1_000)))
    return (version = spokenVersion(body))
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
      if (answer.statusCode === 400 && wantsAnother({ status: 400, body: await readText(answer, signal) })) {
        answer = await open("GET", `/v${await negotiate(signal)}${path}`, signal)
      }
      if (answer.statusCode !== 200) {
        answer.destroy()
        throw failedWith(answer.statusCode ?? 0)
      }
      yield* linesOf(answer, signal)
      throw new EngineFailure("ECONNRESET", { cause: new Error("the Docker Engine ended its answer") })
    },
    hostname() {
      return address().host
    },
  }
}

interface Address {
  readonly socketPath?: string
  /** Where published ports are; without the brackets of an IPv6 address. */
  readonly host: string
  readonly port?: string
  readonly secure?: boolean
}

const HOSTS = "unix:///path or tcp://host:port; ssh:// and npipe:// are not supported"

/** As the docker command understands it. What it does not say is never guessed: the request would go elsewhere. */
const parseHost = (text: string): Address | undefined => {
  // A path is taken as it stands: no escapes, no query.
  if (/^unix:\/\/\/[^\0]/.test(text)) return { socketPath: text.slice("unix://".length), host: "127.0.0.1" }
  const found = /^(tcp|https?):\/\/(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::(\d{1,5}))?\/?$/i.exec(text)
  if (found === null || Number(found[4] ?? 0) > 65_535) return undefined
  const [, scheme = "", v6, name = "", port] = found
  return {
    host: v6 ?? name,
    ...(port !== undefined && { port }),
    secure: scheme.toLowerCase() === "https",
  }
}

const failedWith = (status: number, cause?: Error): EngineFailure =>
  new EngineFailure(`HTTP ${status}`, { cause, refused: status === 401 || status === 403 })

// workerd has a node:http of its own, over fetch, which knows neither sockets nor client certificates.
const onWorkers = (): boolean =>
  (globalThis as { readonly navigator?: { readonly userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers"

/** What a transport's error means. */
const transportFailure = (cause: unknown, secure: boolean): EngineFailure => {
  const { code, message = "" } = cause as { readonly code?: unknown; readonly message?: string }
  if (typeof code !== "string") return new EngineFailure("engine failed", { cause })
  if (code === "EACCES" || code === "EPERM") return new EngineFailure(code, { cause, refused: true })
  // Of the system and of the HTTP parser; but EPROTO is what Node says when TLS fails while it writes.
  if (!secure || (/^(?:E[A-Z0-9]+|HPE_.*)$/.test(code) && code !== "EPROTO")) return new EngineFailure(code, { cause })
  // An alert about our certificate (RFC 8446 §6.2). The code names it, or the sentence, and each runtime in its own spelling.
  const said = `${code} ${message}`.replaceAll(/[^a-z]/gi, "")
  const refused =
    /alert(?:(?:bad|unsupported|no)certificate|certificate(?:revoked|expired|unknown|required)|unknownca|accessdenied)/i
  // The runtime's own error may hold a certificate as a whole.
  return new EngineFailure(`TLS: ${code}`, {
    cause: Object.assign(new Error(message), { code }),
    refused: refused.test(said),
  })
}

// The daemon was replaced underneath. The text is JSON in one case and plain in the other.
const wantsAnother = ({ status, body }: EngineAnswer): boolean => status === 400 && /is too (?:old|new)/.test(body)

/** The newest version that both sides speak. Throws when there is none. */
const spokenVersion = (body: string): string => {
  let answer: { readonly ApiVersion?: unknown; readonly MinAPIVersion?: unknown } | null
  try {
    answer = JSON.parse(body) as typeof answer
  } catch {
    // The parser's error repeats a part of what it read.
    answer = null
  }
  const newest = numbers(answer?.ApiVersion)
  if (newest === undefined) throw new EngineFailure("an answer that is not understood")
  const oldest = numbers(answer?.MinAPIVersion) ?? OLDEST
  const spoken = before(NEWEST, newest) ? NEWEST : newest
  if (before(spoken, OLDEST) || before(spoken, oldest)) {
    const cause = new Error("the Docker Engine speaks no API version from 1.40 to 1.54")
    throw new EngineFailure("API_VERSION", { cause })
  }
  return spoken.join(".")
}

const numbers = (text: unknown): readonly [number, number] | undefined => {
  const found = typeof text === "string" ? /^(\d+)\.(\d+)$/.exec(text) : null
  return found === null ? undefined : [Number(found[1]), Number(found[2])]
}

const before = (a: readonly [number, number], b: readonly [number, number]): boolean =>
  a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])

async function* chunksOf(answer: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw signal.aborted ? cause : transportFailure(cause, false)
  }
}

const readText = async (answer: IncomingMessage, signal: AbortSignal): Promise<string> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunksOf(answer, signal)) {
    size += chunk.length
    if (size > MAX_BODY) throw tooLarge(answer)
    chunks.push(chunk)
  }
  return new TextDecoder().decode(await new Blob(chunks as BlobPart[]).arrayBuffer())
}

/** By line; what json-seq puts before each (RFC 7464 §2.2) is left out. */
async function* linesOf(answer: IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  const text = new TextDecoder()
  let rest = ""
  for await (const chunk of chunksOf(answer, signal)) {
    const lines = (rest + text.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    if (rest.length > MAX_BODY) throw tooLarge(answer)
    for (const line of lines) {
      const bare = (line.startsWith("\u001e") ? line.slice(1) : line).trim()
      if (bare !== "") yield bare
    }
  }
}

const tooLarge = (answer: IncomingMessage): EngineFailure => {
  answer.destroy()
  return new EngineFailure("an answer that is too large")
}

// As the docker command does: DOCKER_TLS_VERIFY, when it is not empty, asks for TLS with the files of DOCKER_CERT_PATH.
const tlsFromFiles = async (env: Readonly<Record<string, string | undefined>>): Promise<EngineTls | undefined> => {
  if (!env["DOCKER_TLS_VERIFY"]) return undefined
  const path = env["DOCKER_CERT_PATH"] || `${env["HOME"] ?? ""}/.docker`
  const { readFile } = await import("node:fs/promises")
  const read = async (name: keyof EngineTls): Promise<string> => {
    let text
    try {
      text = await readFile(`${path}/${name}.pem`, "utf8")
    } catch (cause) {
      const { code = "failed" } = cause as { readonly code?: string }
      throw new EngineFailure(`DOCKER_CERT_PATH: ${name}.pem cannot be read: ${code}`, { cause })
    }
    if (isPem(name, text)) return text
    throw new EngineFailure(`DOCKER_CERT_PATH: ${name}.pem is not the PEM text of a ${KIND[name]}`)
  }
  return { ca: await read("ca"), cert: await read("cert"), key: await read("key") }
}

const KIND = { ca: "certificate", cert: "certificate", key: "private key" } as const

/** What runtimes disagree about: of an empty CA Node makes all public ones, and Deno sends no certificate when one is broken. */
const isPem = (name: keyof EngineTls, text: string): boolean =>
  new RegExp(`-----BEGIN (?:[A-Z0-9]+ )*${KIND[name].toUpperCase()}-----`).test(text)

const checkTls = (tls: EngineTls): void => {
  for (const name of ["ca", "cert", "key"] as const) {
    const text = tls[name]
    if (text !== undefined && !isPem(name, text)) {
      throw new TypeError(`tls.${name} must be the PEM text of a ${KIND[name]}`)
    }
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) throw new TypeError("tls.cert and tls.key go together")
}
