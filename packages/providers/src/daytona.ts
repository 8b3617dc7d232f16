import { wires } from "./daytona-wire.ts"
import type { DaytonaWire, Question } from "./daytona-wire.ts"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "./errors.ts"
import type { Endpoint, Machine, MachineProvider, MachineState, MachineStatus, Verdict } from "./machine-provider.ts"

export interface DaytonaOptions {
  /** An API key, or a JWT together with `organization`. Goes to the API and never to a sandbox. */
  readonly apiKey: string
  /** Asks the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * Where the API is. Default `https://app.daytona.io/api`. With `http:`, for an installation of one's own, the key travels
   * in the clear, and preview links may be `http:` as well.
   */
  readonly apiBase?: string
  /** Which organization is meant, for a JWT. */
  readonly organization?: string
  /** The API's version. `v0` speaks to 0.190 up to 0.220. */
  readonly api?: "v0"
}

/** The machine's proxy: the one port that a preview link is asked for, whichever port is wanted behind it. */
const PROXY_PORT = 8080

/**
 * Sandboxes of Daytona. Runs everywhere. `externalId` is a sandbox's id; a name works as long as no other sandbox gets it.
 * No metadata.
 *
 * Keep sandboxes private: the edge of a public one hands the preview token on to the app, and answers whoever knows the URL.
 * A private one is reached with the token alone, which every start replaces: the endpoint's epoch is a digest of it.
 * The edge resends small requests on a stale connection, whatever their method: an app may see a POST twice.
 * The API is asked twice for an endpoint, which is good for 5 minutes; its limit is 10 000 to 50 000 requests a minute, by
 * tier.
 */
export const daytona = (options: DaytonaOptions): MachineProvider => {
  const api = makeApi(options)
  const { wire } = api

  return {
    type: "daytona",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "start",
      ports: "any",
      eatenHeaders: wire.eatenHeaders,
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      const sandbox = sandboxOf(machine)
      // A link is given for a sandbox in any state, and a request sent to a sleeping one is lost with its body: so both.
      const [{ state }, link] = await Promise.all([
        api.ask(machine, wire.sandbox(sandbox), signal),
        api.ask(machine, wire.previewUrl(sandbox, PROXY_PORT), signal),
      ])
      if (!wire.mayServe(state)) refuseUnlessRunning(wire.stateOf(state), state, machine)
      // A token is one header's value; anything else would become another header or an error that repeats it.
      if (!/^[\x21-\x7e]+$/.test(link.token)) throw notUnderstood(machine)
      return {
        origin: originOf(link.url, api.secure, machine),
        headers: wire.edgeHeaders(link.token),
        epoch: await digest(link.token),
        cacheForMs: 300_000,
      }
    },

    classify(answer, machine): Verdict {
      switch (wire.edgeWord(answer)) {
        case "credentials":
          return "refresh"
        case "not-running":
          return new MachineNotRunning({ ...where(machine), state: "not running" })
        case "rate-limited": {
          const names = ["retry-after", ...wire.throttlers.map((throttler) => `retry-after-${throttler}`)]
          return rateLimited(machine, names.map(answer.header))
        }
        case "runner-unavailable":
          return new ProviderUnavailable({ ...where(machine), reason: "runner unavailable" })
        case "unclear":
          return "ask-status"
        case "page":
          return new ProviderUnavailable({ ...where(machine), reason: "a page of the platform's own" })
        case "other":
      }
      const reason = `HTTP ${answer.status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...where(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const { state: detail } = await api.ask(machine, wire.sandbox(sandboxOf(machine)), signal)
        const state = wire.stateOf(detail)
        return detail === undefined ? { state } : { state, detail }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<void> {
      await api.ask(machine, wire.start(sandboxOf(machine)), signal)
    },

    async keepAlive(machine, { signal }): Promise<void> {
      await api.ask(machine, wire.lastActivity(sandboxOf(machine)), signal)
    },
  }
}

export interface SignedPreview {
  /** The whole URL is a secret: its host bears the token. */
  readonly url: string
  /** When it ends, in ms since 1970, as this process's clock has it. */
  readonly expiresAt: number
}

export interface SignedPreviewRequest {
  /** The port inside the sandbox, 1 to 65535. */
  readonly port: number
  /** How long the link works, in ms: whole seconds from 1 000 to 86 400 000. 60 000. */
  readonly lifetimeMs?: number
  readonly signal?: AbortSignal
}

/**
 * A link for a browser, straight to a port of a private sandbox: around the machine's proxy, its tickets and its list of
 * ports. Whoever has the URL is in, until it ends; it survives a restart. The token is in the host, so it is in logs, in
 * `Referer`s and in certificates' names too: give it to one person, never to a page. Rejects with a `ProviderError`; throws a
 * `RangeError` for a port or a lifetime out of range.
 */
export const signedPreviewUrl = async (
  options: DaytonaOptions,
  machine: Machine,
  request: SignedPreviewRequest,
): Promise<SignedPreview> => {
  const { port, lifetimeMs = 60_000, signal = new AbortController().signal } = request
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RangeError("port must be an integer, 1 to 65535")
  const seconds = lifetimeMs / 1_000
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400) {
    throw new RangeError("lifetimeMs must be whole seconds from 1000 to 86400000")
  }
  const api = makeApi(options)
  const askedAt = Date.now()
  const { url } = await api.ask(machine, api.wire.signedPreviewUrl(sandboxOf(machine), port, seconds), signal)
  return { url: originOf(url, api.secure, machine), expiresAt: askedAt + lifetimeMs }
}

interface Api {
  readonly wire: DaytonaWire
  /** Whether the API is reached by https, so that its links must be, too. */
  readonly secure: boolean
  readonly ask: <A>(machine: Machine, question: Question<A>, signal: AbortSignal) => Promise<A>
}

const makeApi = (options: DaytonaOptions): Api => {
  const { apiKey, organization, api = "v0", apiBase = "https://app.daytona.io/api" } = options
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  // Neither value is repeated: one is a secret, and both may have been mistaken for one another.
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError("apiKey must be visible ASCII without spaces")
  if (organization !== undefined && !/^[\x21-\x7e]+$/.test(organization)) {
    throw new TypeError("organization must be visible ASCII without spaces")
  }
  if (!/^https?:\/\/[^/\\?#@\s]+(?:\/[A-Za-z0-9._~-]+)*\/?$/i.test(apiBase) || !URL.canParse(apiBase)) {
    throw new TypeError("apiBase must be http:// or https:// with a host and perhaps a path, and nothing else")
  }
  if (!Object.hasOwn(wires, api)) throw new TypeError(`api must be one of ${Object.keys(wires).join(", ")}`)
  const wire: DaytonaWire = wires[api]
  const base = apiBase.replace(/\/$/, "")
  const headers = wire.apiHeaders(apiKey, organization)

  return {
    wire,
    secure: /^https:/i.test(base),
    async ask(machine, question, signal) {
      const { method, path, body, refusedState } = question
      let answer: Response
      let text: string
      try {
        answer = await send(base + path, {
          method,
          headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
          ...(body === undefined ? {} : { body }),
          // A redirect would take the key along.
          redirect: "manual",
          signal,
        })
        text = await answer.text()
      } catch (cause) {
        if (signal.aborted) throw signal.reason
        // Without the cause: a `fetch` that is not the runtime's may have put the request, and so the key, into it.
        throw new ProviderUnavailable({ ...where(machine), reason: codeOf(cause) ?? "the API cannot be reached" })
      }
      if (answer.status === 400 && refusedState !== undefined) {
        throw new MachineNotRunning({ ...where(machine), state: refusedState })
      }
      if (!answer.ok) throw apiFailure(answer, machine)
      const found = question.answer(text)
      if (found === undefined) throw notUnderstood(machine)
      return found
    },
  }
}

// By status alone: the texts of the API change, and may repeat what was sent.
const apiFailure = ({ status, headers }: Response, machine: Machine) => {
  switch (status) {
    case 401:
    case 403:
      return new ProviderAuth(where(machine))
    case 404:
      return new MachineNotFound(where(machine))
    case 409:
      return new MachineStarting(where(machine))
    case 429:
      // `Retry-After`, or `Retry-After-<throttler>` for each limit that was reached: the longest counts.
      return rateLimited(
        machine,
        [...headers].filter(([name]) => name.startsWith("retry-after")).map(([, value]) => value),
      )
    default:
      return new ProviderUnavailable({ ...where(machine), reason: `HTTP ${status}` })
  }
}

const where = (machine: Machine) => ({ provider: machine.type, machine: machine.externalId })

const refuseUnlessRunning = (state: MachineState, word: string | undefined, machine: Machine): void => {
  switch (state) {
    case "running":
    case "unknown":
      return
    case "gone":
      throw new MachineNotFound(where(machine))
    case "starting":
      throw new MachineStarting(where(machine))
    case "stopping":
    case "stopped":
    case "suspended":
    case "failed":
      throw new MachineNotRunning({ ...where(machine), state: word ?? state })
  }
}

const notUnderstood = (machine: Machine): ProviderUnavailable =>
  new ProviderUnavailable({ ...where(machine), reason: "an answer that is not understood" })

const rateLimited = (machine: Machine, waits: readonly (string | undefined)[]): ProviderRateLimited => {
  const known = waits.map(waitMs).filter((ms) => ms !== undefined)
  return new ProviderRateLimited({
    ...where(machine),
    ...(known.length === 0 ? {} : { retryAfterMs: Math.max(...known) }),
  })
}

/** `Retry-After` in ms: seconds or a date (RFC 9110 §10.2.3). */
const waitMs = (value: string | undefined): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const until = Date.parse(value)
  return Number.isNaN(until) ? undefined : Math.max(0, until - Date.now())
}

// What keeps an id from becoming another path.
const sandboxOf = ({ type, externalId }: Machine): string => {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(externalId)) return externalId
  throw new MachineRecordInvalid({
    provider: type,
    machine: externalId,
    field: "externalId",
    accepted: "a sandbox's id or name",
  })
}

/** Hosts differ by region, so the link is believed, but only as far as an origin goes. */
const originOf = (link: string, secure: boolean, machine: Machine): string => {
  const match = /^(https?):\/\/[A-Za-z0-9._-]+(?::\d{1,5})?\/?$/i.exec(link)
  if (match === null || (secure && match[1]!.toLowerCase() !== "https") || !URL.canParse(link)) {
    throw notUnderstood(machine)
  }
  return new URL(link).origin
}

const digest = async (secret: string): Promise<string> => {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret)))
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/** The `code` of an error or of what caused it, when it is a word: `ECONNREFUSED`. */
const codeOf = (error: unknown): string | undefined => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)) return code
    at = cause
  }
  return undefined
}
