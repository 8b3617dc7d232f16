import { accept, checkOptions } from "@project-ingress/forward/internal"
import { acceptApiBase, acceptSecret } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import {
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import { apiV0 } from "./api-v0.ts"
import { rateLimited } from "./rate-limited.ts"
import type { ApiRequest, DaytonaWire } from "./wire.ts"

/** How `daytona` and `signedPreviewUrl` authenticate and reach Daytona's API. */
export interface DaytonaOptions {
  /** An API key, or a JWT together with `organization`. Is sent to the API and never to a sandbox. */
  readonly apiKey: string
  /** Sends requests to the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * Where the API is. Default `https://app.daytona.io/api`. With `http:`, for an installation of your own, the key is sent
   * unencrypted, and preview links may be `http:` as well.
   */
  readonly apiBase?: string
  /** The organization of a JWT. */
  readonly organization?: string
  /** The API's version. Default `v0`, for servers from 0.190 to 0.220. */
  readonly api?: "v0"
}

/** A client of Daytona's API. */
export interface DaytonaApi {
  readonly wire: DaytonaWire
  /** Sends one request about a sandbox. Rejects with what an error response means. */
  request<A>(machine: Machine, request: (sandbox: string) => ApiRequest<A>, signal: AbortSignal): Promise<A>
  /**
   * The origin of a link. Hosts differ by region, so any host is accepted, but nothing more than an origin: throws
   * `ProviderUnavailable`.
   */
  originOf(link: string, machine: Machine): string
}

const versions = { v0: apiV0 } satisfies Record<string, DaytonaWire>

/** `owner` is the function whose options these are. Throws a `TypeError` for invalid ones. */
export const daytonaApi = (owner: string, options: DaytonaOptions): DaytonaApi => {
  checkDaytonaOptions(owner, options)
  const { apiKey, organization, api: version = "v0", apiBase = "https://app.daytona.io/api", fetch } = options
  const wire: DaytonaWire = versions[version]
  const api = vendorApi({
    apiBase,
    // The organization is not secret, but could be mistaken for the key.
    secrets: { apiKey, organization: organization === undefined ? [] : [organization] },
    headers: wire.apiHeaders(apiKey, organization),
    fetch,
    secretsInTheClear: true,
    // Only a text that is known: any other may repeat a preview token.
    causeOf: ({ status, json }) => {
      const message = messageOf(json)
      const known = wire.classifyApiError(status, message) !== undefined
      return `Daytona responded with ${status}${known ? `: ${message}` : ""}`
    },
  })
  const secure = /^https:/i.test(apiBase)

  return {
    wire,
    async request(machine, request, signal) {
      const { response: schema, ...wanted } = request(sandboxOf(machine))
      const response = await api.request(machine, { ...wanted, signal })
      const meaning = response.ok ? undefined : wire.classifyApiError(response.status, messageOf(response.json))
      if (meaning === "starting") throw new MachineStarting(response.where)
      if (meaning !== undefined) {
        throw "state" in meaning
          ? new MachineNotRunning({ ...response.where, ...meaning })
          : new ProviderUnavailable({ ...response.where, ...meaning })
      }
      // `Retry-After`, or `Retry-After-<throttler>` for each limit that was reached.
      if (response.status === 429) {
        const waits = [...response.headers].filter(([name]) => name.startsWith("retry-after")).map(([, value]) => value)
        throw rateLimited(machine, waits)
      }
      return response.decode(schema)
    },
    originOf(link, machine) {
      const match = /^(https?):\/\/[A-Za-z0-9._-]+(?::\d{1,5})?\/?$/i.exec(link)
      if (match === null || (secure && match[1]!.toLowerCase() !== "https") || !URL.canParse(link)) {
        throw invalidResponse(machine)
      }
      return new URL(link).origin
    },
  }
}

const messageOf = (json: unknown): string => {
  const { message } = (json ?? {}) as { readonly message?: unknown }
  return typeof message === "string" ? message : ""
}

/** A 2xx response that does not hold what it should. */
export const invalidResponse = (machine: Machine): ProviderUnavailable =>
  new ProviderUnavailable({ ...machineRef(machine), reason: "invalid response" })

const checkDaytonaOptions = (owner: string, options: DaytonaOptions): void =>
  checkOptions(
    owner,
    options,
    {
      apiKey: acceptSecret,
      fetch: accept.function,
      apiBase: acceptApiBase({ insecure: true }),
      organization: acceptSecret,
      api: accept.oneOf(...Object.keys(versions)),
    },
    { required: ["apiKey"] },
  )

// The check keeps an id from changing the path.
const sandboxOf = (machine: Machine): string => {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(machine.externalId)) return machine.externalId
  throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "a sandbox's id or name" })
}
