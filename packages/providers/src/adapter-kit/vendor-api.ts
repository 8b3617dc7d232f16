import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  MachineNotFound,
  MachineRecordInvalid,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../contract/errors.ts"
import type { ProviderError, MachineRef } from "../contract/errors.ts"
import { checkFields, checkSecret } from "../contract/fields.ts"
import type { Machine } from "../contract/machine-provider.ts"
import { retryAfterMs } from "./retry-after.ts"

export interface VendorApiOptions {
  /**
   * Where the API is: `https://` with a host and perhaps a path. `http://` only on loopback and on names that end with
   * `.internal`, because the secrets travel there.
   */
  readonly apiBase: string
  /**
   * By the names of the adapter's options that hold them: visible ASCII without spaces. No failure repeats one. What is sent
   * in another form, as Basic credentials are, belongs here in that form too.
   */
  readonly secrets: Readonly<Record<string, string | readonly string[]>>
  /** Sent with every question, the secrets in them. `accept` is `application/json` unless it stands here. */
  readonly headers: Readonly<Record<string, string>>
  /** Asks the API. Default: the runtime's own `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
  /** Allows `http://` to any host. */
  readonly secretsInTheClear?: boolean
  /**
   * What a failed answer says about itself, for the `cause` of its failure, where logs find it: the secrets are taken out, and
   * it ends after 1 000 characters. Default: no cause, because an answer may hold secrets that nobody here knows.
   */
  readonly causeOf?: (answer: Pick<VendorResponse, "status" | "headers" | "text" | "json">) => string
}

export interface VendorRequest {
  /** `GET`. */
  readonly method?: string
  /** Below `apiBase`, with its query; what is put into it has to be encoded: `/machines/${encodeURIComponent(externalId)}`. */
  readonly path: `/${string}`
  /** Sent as JSON. */
  readonly body?: unknown
  readonly signal: AbortSignal
}

/** An answer of the API, whatever its status. */
export interface VendorResponse {
  /** 0: a redirect that the runtime hides. */
  readonly status: number
  /** 2xx. */
  readonly ok: boolean
  readonly headers: Headers
  /** Its first 4 MiB. Neither this nor `json` may stand in an error. */
  readonly text: string
  /** `undefined` when it is none. */
  readonly json: unknown
  /** For an error of one's own: `new MachineStarting(answer.where)`. */
  readonly where: MachineRef
  /**
   * What it means by its status: 401 and 403 `ProviderAuth`, 404 `MachineNotFound`, 409 `MachineStarting`, 429
   * `ProviderRateLimited`, else `ProviderUnavailable` with the reason `HTTP 500`.
   */
  failure(): ProviderError
  /** Its JSON. Throws `failure()` unless it is `ok`, and `ProviderUnavailable` for JSON that is something else. */
  decode<A>(schema: Schema.ConstraintDecoder<A>): A
}

/** The HTTP API of a vendor, asked with a secret. */
export interface VendorApi {
  /**
   * One question, about a machine that its failures will name. Never follows a redirect, which would take the secrets along.
   * Rejects with `ProviderUnavailable` when no answer came, `MachineRecordInvalid` for an id that makes another path, or the
   * signal's reason.
   */
  request(machine: Pick<Machine, "type" | "externalId">, question: VendorRequest): Promise<VendorResponse>
}

/** Far above any answer about one machine, in octets. */
const MAX_BODY = 4 * 1024 * 1024
const MAX_CAUSE = 1_000

/** @throws {TypeError} naming the option that is wrong and what it accepts, without repeating it */
export const vendorApi = (options: VendorApiOptions): VendorApi => {
  const { secrets, causeOf } = options
  const base = checkedBase(options.apiBase, options.secretsInTheClear === true)
  const hidden = Object.entries(secrets).flatMap(([option, value]) => {
    const each = typeof value === "object" ? value : [value]
    for (const secret of each) checkSecret(option, secret)
    return each
  })
  checkFields(options.headers)
  const lower = Object.entries(options.headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const headers: Readonly<Record<string, string>> = { accept: "application/json", ...Object.fromEntries(lower) }
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  const redacted = (text: string): string => hidden.reduce((text, secret) => text.replaceAll(secret, "…"), text)
  const cause = causeOf && ((answer: VendorResponse) => new Error(redacted(causeOf(answer)).slice(0, MAX_CAUSE)))

  return {
    async request(machine, { method = "GET", path, body, signal }) {
      const url = base + path
      // `..` passes through `encodeURIComponent`, and whoever parses the URL resolves it: into a question about something else.
      if (!path.startsWith("/") || new URL(url).href !== url) {
        const accepted = "a name that can stand in a path"
        throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted })
      }
      try {
        const response = await send(url, {
          method,
          headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          redirect: "manual",
          signal,
        })
        return answerOf(response, await textOf(response), machineRef(machine), cause)
      } catch (error) {
        signal.throwIfAborted()
        // Without the error: a `fetch` that is not the runtime's may have put the request into it, and so the secrets.
        throw new ProviderUnavailable({ ...machineRef(machine), reason: reasonOf(error, redacted) })
      }
    },
  }
}

const checkedBase = (text: string, anywhere: boolean): string => {
  const accepted = `apiBase must be https:// with a host and perhaps a path, and nothing else; ${
    anywhere ? "http:// too" : "http:// only on loopback and *.internal"
  }`
  if (!/^https?:\/\/[^/\\?#@\s]+(?:\/[A-Za-z0-9._~-]+)*\/?$/i.test(text) || !URL.canParse(text)) {
    throw new TypeError(accepted)
  }
  const { protocol, hostname, href } = new URL(text)
  const near = /(?:^|\.)localhost$|\.internal$|^127\.\d+\.\d+\.\d+$|^\[::1\]$/.test(hostname)
  if (protocol !== "https:" && !near && !anywhere) throw new TypeError(accepted)
  return href.replace(/\/$/, "")
}

const answerOf = (
  { type, status, ok, headers }: Response,
  text: string,
  place: MachineRef,
  causeOf: ((answer: VendorResponse) => Error) | undefined,
): VendorResponse => {
  const answer: VendorResponse = {
    status: type === "opaqueredirect" ? 0 : status,
    ok: ok && type !== "opaqueredirect",
    headers,
    text,
    json: jsonOf(text),
    get where() {
      return causeOf === undefined || answer.ok ? place : { ...place, cause: causeOf(answer) }
    },
    failure: () => failureOf(answer),
    decode: (schema) => {
      if (!answer.ok) throw answer.failure()
      const found = Schema.decodeUnknownOption(schema)(answer.json)
      if (Option.isSome(found)) return found.value
      throw new ProviderUnavailable({ ...place, reason: "an answer that is not understood" })
    },
  }
  return answer
}

const failureOf = ({ status, headers, where }: VendorResponse): ProviderError => {
  switch (status) {
    case 401:
    case 403:
      return new ProviderAuth(where)
    case 404:
      return new MachineNotFound(where)
    case 409:
      return new MachineStarting({ ...where, retryAfterMs: retryAfterMs(headers.get("retry-after")) })
    case 429:
      return new ProviderRateLimited({ ...where, retryAfterMs: retryAfterMs(headers.get("retry-after")) })
    default:
      return new ProviderUnavailable({ ...where, reason: `HTTP ${status || "3xx"}` })
  }
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const textOf = async ({ body }: Response): Promise<string> => {
  if (body === null) return ""
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ""
  let left = MAX_BODY
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    text += decoder.decode(value.subarray(0, left), { stream: true })
    left -= value.length
    if (left > 0) continue
    // Not awaited: it is the sender's turn, and nobody waits for what it does with it.
    reader.cancel().catch(() => {})
    return text
  }
}

/** Why no answer came: the `code` of an error or of what caused it, `ECONNREFUSED`, `ConnectionRefused`. */
const reasonOf = (error: unknown, redacted: (text: string) => string): string => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { name, code, cause } = at as { readonly name?: unknown; readonly code?: unknown; readonly cause?: unknown }
    if (name === "TimeoutError") return "timeout"
    // A code that is no word, or has a secret in it, may be anything: it is not repeated.
    if (typeof code === "string") {
      return /^[A-Z][A-Za-z0-9_]{1,40}$/.test(code) && redacted(code) === code ? code : "the API cannot be reached"
    }
    at = cause
  }
  return "no connection"
}
