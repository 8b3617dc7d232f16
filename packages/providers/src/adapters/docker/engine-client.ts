import type { IncomingMessage } from "node:http"
import type { RequestOptions } from "node:https"
import { refusesApiVersion, sharedApiVersion } from "./api-version.ts"
import { ENGINE_ADDRESSES, parseEngineAddress } from "./engine-address.ts"
import type { EngineAddress } from "./engine-address.ts"
import { EngineFailure, statusFailure, transportFailure } from "./engine-failure.ts"
import { tlsFromFiles } from "./engine-tls.ts"
import type { EngineTls } from "./engine-tls.ts"

/** A response of the engine, read to its end. */
export interface EngineResponse {
  readonly status: number
  readonly body: string
}

/** A client of one engine's HTTP API. */
export interface EngineClient {
  /** Sends a request to a path without its version. Resolves for any status; rejects with an `EngineFailure`, or by the signal. */
  request(method: "GET" | "POST", path: string, signal: AbortSignal): Promise<EngineResponse>
  /** The lines of a response that lasts until the signal aborts. Throws when the engine ends or refuses it. */
  lines(path: string, signal: AbortSignal): AsyncIterable<string>
  /** The host that published ports are reached at. Throws as `request` rejects. */
  hostname(): string
}

/** Valid options: `docker` checks them. */
export interface EngineClientOptions {
  readonly host?: string | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly tls?: EngineTls | undefined
}

/** In bytes; far above any response about one container, and any event. */
const MAX_BODY = 4 * 1024 * 1024

/**
 * Over `node:http`, which Node, Bun and Deno all have and which connects to a Unix socket on all of them. It is imported when
 * it is first needed, so that the module can be part of a bundle for Workers.
 */
export const engineClient = (options: EngineClientOptions): EngineClient => {
  const env = (): Readonly<Record<string, string | undefined>> => options.env ?? globalThis.process?.env ?? {}
  const given = options.host === undefined ? undefined : parseEngineAddress(options.host)
  let version: string | undefined

  const address = (): EngineAddress => {
    const found = given ?? parseEngineAddress(env()["DOCKER_HOST"] || "unix:///var/run/docker.sock")
    if (found === undefined) throw new EngineFailure(`DOCKER_HOST must be ${ENGINE_ADDRESSES}`)
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
    if (isWorkers()) throw new EngineFailure("docker runs on Node, Bun and Deno, not on Workers")
    const { to, secure } = await connection()
    const { request } = secure ? await import("node:https") : await import("node:http")
    try {
      return await new Promise((resolve, reject) => {
        // No kept connections: the engine may close them at any time, and a new one costs a fraction of a millisecond.
        request({ ...to, method, path, signal, agent: false, headers: { Connection: "close" } }, resolve)
          .on("error", reject)
          .end()
      })
    } catch (cause) {
      throw signal.aborted ? cause : transportFailure(cause, secure)
    }
  }

  const send = async (method: string, path: string, signal: AbortSignal): Promise<EngineResponse> => {
    const response = await open(method, path, signal)
    return { status: response.statusCode ?? 0, body: await readText(response, signal) }
  }

  const negotiate = async (signal: AbortSignal): Promise<string> => {
    const { status, body } = await send("GET", "/version", signal)
    // An engine that uses TLS says so here to a client that does not.
    if (status !== 200) throw statusFailure(status, new Error(body.slice(0, 1_000)))
    return (version = sharedApiVersion(body))
  }

  return {
    async request(method, path, signal) {
      const known = version ?? (await negotiate(signal))
      const response = await send(method, `/v${known}${path}`, signal)
      if (!refusesApiVersion(response)) return response
      return send(method, `/v${await negotiate(signal)}${path}`, signal)
    },
    async *lines(path, signal) {
      let response = await open("GET", `/v${version ?? (await negotiate(signal))}${path}`, signal)
      if (response.statusCode === 400 && refusesApiVersion({ status: 400, body: await readText(response, signal) })) {
        response = await open("GET", `/v${await negotiate(signal)}${path}`, signal)
      }
      if (response.statusCode !== 200) {
        response.destroy()
        throw statusFailure(response.statusCode ?? 0)
      }
      yield* linesOf(response, signal)
      throw new EngineFailure("ECONNRESET", { cause: new Error("the Docker Engine ended its response") })
    },
    hostname() {
      return address().host
    },
  }
}

// workerd has a node:http of its own, over fetch, which supports neither sockets nor client certificates.
const isWorkers = (): boolean =>
  (globalThis as { readonly navigator?: { readonly userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers"

async function* chunksOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response as AsyncIterable<Uint8Array>
  } catch (cause) {
    throw signal.aborted ? cause : transportFailure(cause, false)
  }
}

const readText = async (response: IncomingMessage, signal: AbortSignal): Promise<string> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunksOf(response, signal)) {
    size += chunk.length
    if (size > MAX_BODY) throw tooLarge(response)
    chunks.push(chunk)
  }
  return new TextDecoder().decode(await new Blob(chunks as BlobPart[]).arrayBuffer())
}

/** The response line by line, without the record separator that json-seq puts before each (RFC 7464 §2.2). */
async function* linesOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  const text = new TextDecoder()
  let rest = ""
  for await (const chunk of chunksOf(response, signal)) {
    const lines = (rest + text.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    if (rest.length > MAX_BODY) throw tooLarge(response)
    for (const line of lines) {
      const bare = (line.startsWith("\u001e") ? line.slice(1) : line).trim()
      if (bare !== "") yield bare
    }
  }
}

const tooLarge = (response: IncomingMessage): EngineFailure => {
  response.destroy()
  return new EngineFailure("response too large")
}
