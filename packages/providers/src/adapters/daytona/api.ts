import {
  MachineNotRunning,
  MachineRecordInvalid,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import { wires } from "./api-versions.ts"
import type { DaytonaWire, ApiRequest } from "./api-versions.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"

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

/** Daytona's control plane. */
export interface DaytonaApi {
  readonly wire: DaytonaWire
  /** Rejects with what an answer that is no success means. */
  ask<A>(machine: Machine, question: (sandbox: string) => ApiRequest<A>, signal: AbortSignal): Promise<A>
  /** A link's origin. Hosts differ by region, so a link is believed, but only as far as an origin goes. */
  originOf(link: string, machine: Machine): string
}

export const daytonaApi = (options: DaytonaOptions): DaytonaApi => {
  const { apiKey, organization, api: version = "v0", apiBase = "https://app.daytona.io/api", fetch } = options
  if (!Object.hasOwn(wires, version)) throw new TypeError(`api must be one of ${Object.keys(wires).join(", ")}`)
  const wire: DaytonaWire = wires[version]
  const api = vendorApi({
    apiBase,
    // The organization is none, but may have been mistaken for the key.
    secrets: { apiKey, organization: organization === undefined ? [] : [organization] },
    headers: wire.apiHeaders(apiKey, organization),
    fetch,
    secretsInTheClear: true,
  })
  const secure = /^https:/i.test(apiBase)

  return {
    wire,
    async ask(machine, question, signal) {
      const { refusedState, answer: schema, ...asked } = question(sandboxOf(machine))
      const answer = await api.request(machine, { ...asked, signal })
      if (answer.status === 400 && refusedState !== undefined) {
        throw new MachineNotRunning({ ...answer.where, state: refusedState })
      }
      // `Retry-After`, or `Retry-After-<throttler>` for each limit that was reached.
      if (answer.status === 429) {
        const waits = [...answer.headers].filter(([name]) => name.startsWith("retry-after")).map(([, value]) => value)
        throw rateLimited(machine, waits)
      }
      return answer.decode(schema)
    },
    originOf(link, machine) {
      const match = /^(https?):\/\/[A-Za-z0-9._-]+(?::\d{1,5})?\/?$/i.exec(link)
      if (match === null || (secure && match[1]!.toLowerCase() !== "https") || !URL.canParse(link)) {
        throw notUnderstood(machine)
      }
      return new URL(link).origin
    },
  }
}

export const notUnderstood = (machine: Machine): ProviderUnavailable =>
  new ProviderUnavailable({ ...machineRef(machine), reason: "an answer that is not understood" })

/** The longest of its waits counts. */
export const rateLimited = (machine: Machine, waits: readonly (string | undefined)[]): ProviderRateLimited => {
  const known = waits.map(retryAfterMs).filter((ms) => ms !== undefined)
  return new ProviderRateLimited({
    ...machineRef(machine),
    retryAfterMs: known.length === 0 ? undefined : Math.max(...known),
  })
}

// What keeps an id from becoming another path.
const sandboxOf = (machine: Machine): string => {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$/.test(machine.externalId)) return machine.externalId
  throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "a sandbox's id or name" })
}
