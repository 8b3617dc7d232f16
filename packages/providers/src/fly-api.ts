import { ProviderUnavailable } from "./errors.ts"
import type { Machine } from "./machine-provider.ts"

/** An answer of the Machines API, whatever its status. */
export interface FlyAnswer {
  /** 0: a redirect that the runtime hides. */
  readonly status: number
  readonly json: unknown
  /** What it says went wrong, or its body as it came. */
  readonly text: string
  /** `insufficient_capacity`, `name_taken`. */
  readonly code: string | undefined
  readonly retryAfter: string | null
  /** For logs: status, text and Fly's own id of the request. Without the token, even if Fly repeated it. */
  readonly cause: Error
}

/** The Machines API of whoever owns the token. */
export interface FlyApi {
  /** Rejects with `ProviderUnavailable` when no answer came, or with the signal's reason. Never follows a redirect. */
  ask(method: "GET" | "POST", machine: Machine, path: string, signal: AbortSignal): Promise<FlyAnswer>
}

interface FlyApiOptions {
  readonly token: string
  readonly fetch?: typeof fetch
  readonly apiBase?: string
}

/** Far above a machine with all its config, in characters. */
const MAX_TEXT = 4 * 1024 * 1024
/** What of a failure's text goes into its cause, in characters. */
const MAX_CAUSE = 1_000

export const flyApi = (options: FlyApiOptions): FlyApi => {
  const tokens = tokensOf(options.token)
  const authorization = authorizationOf(tokens)
  const base = checkedBase(options.apiBase ?? "https://api.machines.dev/v1")
  const redacted = (text: string): string => tokens.reduce((text, token) => text.replaceAll(token, "…"), text)

  return {
    async ask(method, machine, path, signal) {
      try {
        const answer = await (options.fetch ?? fetch)(base + path, {
          method,
          headers: { authorization, accept: "application/json" },
          // To wherever a redirect leads the token would go along.
          redirect: "manual",
          signal,
        })
        return read(answer, await textOf(answer), redacted)
      } catch (cause) {
        signal.throwIfAborted()
        throw new ProviderUnavailable({
          provider: machine.type,
          machine: machine.externalId,
          cause,
          reason: why(cause),
        })
      }
    },
  }
}

/** Several tokens may stand in one, with commas; a scheme that was copied along goes. */
const tokensOf = (token: unknown): readonly string[] => {
  const bare = typeof token === "string" ? token.trim().replace(/^(?:(?:bearer|flyv1)(?:\s+|$))+/i, "") : ""
  const tokens = bare.split(",").map((part) => part.trim())
  // RFC 9110 §5.5: what else a header would refuse, and say so with the token in its words.
  if (tokens.every((part) => /^[\x21-\x7e]+$/.test(part))) return tokens
  throw new TypeError("token must be a Fly API token: visible ASCII characters, with or without its scheme")
}

// As Fly's own client decides it: macaroons have a scheme of their own.
const authorizationOf = (tokens: readonly string[]): string =>
  `${tokens.some((token) => /^fm(?:1r|1a|2)_/.test(token)) ? "FlyV1" : "Bearer"} ${tokens.join(",")}`

const checkedBase = (text: string): string => {
  const accepted =
    "apiBase must be an https:// URL without credentials and query; http:// only for *.internal and loopback"
  if (!URL.canParse(text)) throw new TypeError(accepted)
  const url = new URL(text)
  const near = /\.internal$|^localhost$|^127\.\d+\.\d+\.\d+$|^\[::1\]$/.test(url.hostname)
  const plain = url.username + url.password + url.search + url.hash === ""
  if (!plain || !(url.protocol === "https:" || (url.protocol === "http:" && near))) throw new TypeError(accepted)
  return url.href.replace(/\/+$/, "")
}

const read = (answer: Response, body: string, redacted: (text: string) => string): FlyAnswer => {
  const json = jsonOf(body)
  const { error, message, status: code } = fieldsOf(json)
  const text = typeof error === "string" ? error : typeof message === "string" ? message : body
  const request = answer.headers.get("fly-request-id")
  const id = request === null ? "" : ` (fly-request-id ${request})`
  return {
    status: answer.type === "opaqueredirect" ? 0 : answer.status,
    json,
    text,
    code: typeof code === "string" ? code : undefined,
    retryAfter: answer.headers.get("retry-after"),
    cause: new Error(`Fly answered ${answer.status}${id}: ${redacted(text).slice(0, MAX_CAUSE)}`),
  }
}

const jsonOf = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const fieldsOf = (json: unknown): { error?: unknown; message?: unknown; status?: unknown } =>
  typeof json === "object" && json !== null ? json : {}

const textOf = async (answer: Response): Promise<string> => {
  if (answer.body === null) return ""
  const reader = answer.body.getReader()
  const decoder = new TextDecoder()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    text += decoder.decode(value, { stream: true })
    if (text.length > MAX_TEXT) {
      await reader.cancel()
      return text
    }
  }
}

/** The `code` of an error or of its cause: `ECONNREFUSED`. Its words are left to the cause. */
const why = (error: unknown): string => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { code, name, cause } = at as { code?: unknown; name?: unknown; cause?: unknown }
    if (name === "TimeoutError") return "timeout"
    if (typeof code === "string") return code
    at = cause
  }
  return "no connection"
}
