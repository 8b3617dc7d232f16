import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { accept, checkOptions, isTimedOut, isToken } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, ProviderUnavailable, machineRef } from "../contract/errors.ts"
import type { MachineRef, ProviderError } from "../contract/errors.ts"
import { isFieldValue } from "../contract/fields.ts"
import type { Machine } from "../contract/machine-provider.ts"
import { readApiBase } from "./api-base.ts"
import { acceptApiBase, acceptSecret } from "./option-checks.ts"
import { failureOfStatus } from "./status-failure.ts"

/** How {@link vendorApi} reaches an API and what it authenticates with. */
export interface VendorApiOptions {
  /**
   * Where the API is: `https://` with a host and perhaps a path. `http://` only on loopback and on names that end with
   * `.internal`, because the secrets are sent there.
   */
  readonly apiBase: string
  /**
   * By the names of the adapter's options that hold them: visible ASCII without spaces. No error repeats one. A secret that
   * is sent in another form, as Basic credentials are, belongs here in that form too.
   */
  readonly secrets: Readonly<Record<string, string | readonly string[]>>
  /** Sent with every request, the secrets in them. `accept` is `application/json` unless it is given here. */
  readonly headers: Readonly<Record<string, string>>
  /** Sends the requests. Default: the runtime's own `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined
  /** Allows `http://` to any host, where anyone on the way can read the secrets. Default false. */
  readonly secretsInTheClear?: boolean | undefined
  /**
   * What an error response says about itself, for the `cause` of its error, where logs show it. The secrets are removed, and
   * it is cut after 1 000 characters. Default: no cause, because a response may hold secrets that are not known here.
   */
  readonly causeOf?: ((response: Pick<VendorResponse, "status" | "headers" | "text" | "json">) => string) | undefined
}

/** One request to a vendor's API. */
export interface VendorRequest {
  /** Default `GET`. */
  readonly method?: string
  /** Below `apiBase`, with its query. Encode what you put into it: `/machines/${encodeURIComponent(externalId)}`. */
  readonly path: `/${string}`
  /** Sent as JSON. */
  readonly body?: unknown
  /** Ends the request; it then rejects with the signal's reason. */
  readonly signal: AbortSignal
}

/** A response of a vendor's API, whatever its status. */
export interface VendorResponse {
  /** 0 for a redirect that the runtime hides. */
  readonly status: number
  /** Whether the status is 2xx. */
  readonly ok: boolean
  readonly headers: Headers
  /** The first 4 MiB of the body. Put neither this nor `json` into an error. */
  readonly text: string
  /** The body's JSON, `undefined` when it has none. */
  readonly json: unknown
  /** The machine, for an error that the adapter makes itself: `new MachineStarting(response.where)`. */
  readonly where: MachineRef
  /**
   * What the status means: 401 and 403 `ProviderAuth`, 404 `MachineNotFound`, 409 `MachineStarting`, 429
   * `ProviderRateLimited`, anything else `ProviderUnavailable` with the reason `HTTP 500`.
   */
  failure(): ProviderError
  /** The body's JSON, decoded. Throws `failure()` unless `ok`, and `ProviderUnavailable` for JSON that does not match. */
  decode<A>(schema: Schema.ConstraintDecoder<A>): A
}

/** A vendor's HTTP API. */
export interface VendorApi {
  /**
   * Sends one request, about a machine that its errors will name. Redirects are never followed, because the secrets would be
   * sent along. Resolves for any status. Rejects with `ProviderUnavailable` when no response came, with
   * `MachineRecordInvalid` for an id that changes the path, or with the signal's reason.
   */
  request(machine: Pick<Machine, "type" | "externalId">, request: VendorRequest): Promise<VendorResponse>
}

/** Far above any response about one machine, in bytes. */
const MAX_BODY = 4 * 1024 * 1024
const MAX_CAUSE = 1_000

/**
 * A client of a vendor's HTTP API that authenticates with secrets and translates failures into the contract's errors.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts, never its value
 *
 * @example
 * vendorApi({ apiBase: "https://api.example", secrets: { apiKey }, headers: { authorization: `Bearer ${apiKey}` } })
 */
export const vendorApi = (options: VendorApiOptions): VendorApi => {
  checkVendorApiOptions(options)
  const { causeOf } = options
  const base = readApiBase(options.apiBase, options.secretsInTheClear === true)!
  const secrets = Object.values(options.secrets).flat()
  const lower = Object.entries(options.headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const headers: Readonly<Record<string, string>> = { accept: "application/json", ...Object.fromEntries(lower) }
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  const redacted = (text: string): string => secrets.reduce((text, secret) => text.replaceAll(secret, "…"), text)
  const cause = causeOf && ((response: VendorResponse) => new Error(redacted(causeOf(response)).slice(0, MAX_CAUSE)))

  return {
    async request(machine, { method = "GET", path, body, signal }) {
      const url = base + path
      // `..` passes through `encodeURIComponent`, and a URL parser resolves it: the request would be about something else.
      if (!path.startsWith("/") || new URL(url).href !== url) {
        const accepted = "a name that can be part of a path"
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
        return vendorResponse(response, await readText(response), machineRef(machine), cause)
      } catch (error) {
        signal.throwIfAborted()
        // Without the error itself: a `fetch` of the caller's may have put the request into it, and so the secrets.
        throw new ProviderUnavailable({
          ...machineRef(machine),
          reason: reasonOf(error, redacted),
          timedOut: isTimedOut(error),
        })
      }
    },
  }
}

const checkVendorApiOptions = (options: VendorApiOptions): void => {
  checkOptions(
    "vendorApi",
    options,
    {
      apiBase: acceptApiBase({ insecure: options?.secretsInTheClear === true }),
      secrets: accept.object,
      // The value is never repeated: a runtime that refuses a field would print it.
      headers: (value) => {
        if (accept.object(value) !== undefined || value instanceof Headers) return "an object of names and values"
        const fields = Object.entries(value as object)
        if (!fields.every(([name]) => isToken(name))) return "an object whose names are tokens (RFC 9110 §5.1)"
        const wrong = fields.find(([, value]) => typeof value !== "string" || !isFieldValue(value))
        return wrong === undefined ? undefined : `an object whose value for ${wrong[0]} is visible ASCII`
      },
      fetch: accept.function,
      secretsInTheClear: accept.boolean,
      causeOf: accept.function,
    },
    { required: ["apiBase", "secrets", "headers"] },
  )
  const names = Object.keys(options.secrets)
  const fields = Object.fromEntries(names.map((name) => [name, acceptSecrets]))
  checkOptions("vendorApi", options.secrets, fields, { required: names, at: "secrets" })
}

const acceptSecrets: OptionCheck = (value) =>
  [value]
    .flat()
    .map(acceptSecret)
    .find((wrong) => wrong !== undefined)

const vendorResponse = (
  { type, status, ok, headers }: Response,
  text: string,
  machine: MachineRef,
  causeOf: ((response: VendorResponse) => Error) | undefined,
): VendorResponse => {
  const response: VendorResponse = {
    status: type === "opaqueredirect" ? 0 : status,
    ok: ok && type !== "opaqueredirect",
    headers,
    text,
    json: parseJson(text),
    get where() {
      return causeOf === undefined || response.ok ? machine : { ...machine, cause: causeOf(response) }
    },
    failure: () => failureOfStatus(response),
    decode: (schema) => {
      if (!response.ok) throw response.failure()
      const found = Schema.decodeUnknownOption(schema)(response.json)
      if (Option.isSome(found)) return found.value
      throw new ProviderUnavailable({ ...machine, reason: "invalid response" })
    },
  }
  return response
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const readText = async ({ body }: Response): Promise<string> => {
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
    // Not awaited: a sender may take any time to end its stream.
    reader.cancel().catch(() => {})
    return text
  }
}

/** Why no response came: the `code` of an error or of its cause, `ECONNREFUSED`, `ConnectionRefused`. */
const reasonOf = (error: unknown, redacted: (text: string) => string): string => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { name, code, cause } = at as { readonly name?: unknown; readonly code?: unknown; readonly cause?: unknown }
    if (name === "TimeoutError") return "timeout"
    // A code that is no identifier, or contains a secret, may be anything, so it is not repeated.
    if (typeof code === "string") {
      return /^[A-Z][A-Za-z0-9_]{1,40}$/.test(code) && redacted(code) === code ? code : "the API cannot be reached"
    }
    at = cause
  }
  return "no connection"
}
