import * as Schema from "effect/Schema"
import {
  MachineNotFound,
  MachineRecordInvalid,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
} from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { MachineState } from "../../contract/machine-provider.ts"
import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorResponse, VendorApi, VendorApiOptions } from "../../adapter-kit/vendor-api.ts"

/** The Machines API of whoever owns the token. */
export const flyApi = (options: {
  readonly token: string
  readonly fetch?: VendorApiOptions["fetch"]
  readonly apiBase?: string
}): VendorApi => {
  const { token, fetch, apiBase = "https://api.machines.dev/v1" } = options
  const tokens = tokensOf(token)
  return vendorApi({
    apiBase,
    fetch,
    secrets: { token: tokens },
    headers: { authorization: authorizationOf(tokens) },
    causeOf: (answer) => {
      const request = answer.headers.get("fly-request-id")
      return `Fly answered ${answer.status}${request === null ? "" : ` (fly-request-id ${request})`}: ${saidBy(answer)}`
    },
  })
}

/** Several tokens may stand in one, with commas; a scheme that was copied along goes. */
const tokensOf = (token: unknown): readonly string[] => {
  const bare = typeof token === "string" ? token.trim().replace(/^(?:(?:bearer|flyv1)(?:\s+|$))+/i, "") : ""
  return bare.split(",").map((part) => part.trim())
}

// As Fly's own client decides it: macaroons have a scheme of their own.
const authorizationOf = (tokens: readonly string[]): string =>
  `${tokens.some((token) => /^fm(?:1r|1a|2)_/.test(token)) ? "FlyV1" : "Bearer"} ${tokens.join(",")}`

/** The few fields that are needed of some fifty. */
export const FlyMachine = Schema.Struct({
  state: Schema.String,
  host_status: Schema.optionalKey(Schema.String),
  events: Schema.optionalKey(
    Schema.NullOr(
      Schema.Array(
        Schema.Struct({
          status: Schema.optionalKey(Schema.String),
          timestamp: Schema.optionalKey(Schema.Number),
        }),
      ),
    ),
  ),
})
export type FlyMachine = typeof FlyMachine.Type

/** What Fly's word for a machine's state means. */
export const flyState = (word: string | undefined): MachineState => {
  switch (word) {
    case "started":
      return "running"
    case "creating":
    case "starting":
    case "restarting":
    case "updating":
    case "replacing":
      return "starting"
    case "stopping":
    case "suspending":
      return "stopping"
    // It may come up by itself or not; a call of `start` that comes too soon is told so.
    case "created":
    case "stopped":
      return "stopped"
    case "suspended":
      return "suspended"
    case "failed":
    case "launch_failed":
      return "failed"
    case "destroying":
    case "destroyed":
      return "gone"
    // `replaced` and `migrated` are said of old versions of a machine, never of the machine.
    default:
      return "unknown"
  }
}

/** The rate limits are one or five a second: asking again sooner cannot help. */
const LIMITED_MS = 1_000

/** What the Machines API means by an answer that is no success. */
export const flyFailure = (answer: VendorResponse): ProviderError => {
  const { status, where } = answer
  const unavailable = (reason: string) => new ProviderUnavailable({ ...where, reason })
  if (fieldsOf(answer.json).status === "insufficient_capacity") return unavailable("capacity")
  if (status === 0 || (status >= 300 && status < 400)) return unavailable(`the API redirects: HTTP ${status || "3xx"}`)
  switch (status) {
    case 404:
      return isAppTrouble(answer) ? unavailable("HTTP 404 for the app") : new MachineNotFound(where)
    // The machine did not get there in time; it is still on its way.
    case 408:
      return new MachineStarting(where)
    // 409: a lease or another version is in the way. 412: the machine's state does not allow it now. Or there is no room.
    case 409:
    case 412:
      if (/insufficient (?:resources|memory|cpu|capacity)|could not reserve resource/i.test(saidBy(answer))) {
        return unavailable("capacity")
      }
      return flyState(refusedState(answer)) === "gone" ? new MachineNotFound(where) : new MachineStarting(where)
    // Nothing was sent but the names in the path.
    case 422:
      return new MachineRecordInvalid({ ...where, field: "externalId", accepted: "the id of a machine of its app" })
    case 429: {
      const asked = retryAfterMs(answer.headers.get("retry-after")) ?? 0
      return new ProviderRateLimited({ ...where, retryAfterMs: Math.max(asked, LIMITED_MS) })
    }
    default:
      return answer.failure()
  }
}

/** The state in `unable to start machine from current state: 'created'`. */
export const refusedState = (answer: VendorResponse): string | undefined =>
  /current state: '(\w+)'/.exec(saidBy(answer))?.[1]

// Said for a moment of an app that exists: right after it was made, and when Fly's own look-up fails.
const isAppTrouble = (answer: VendorResponse): boolean => /no longer introspect/i.test(saidBy(answer))

/** What it says went wrong, or its body as it came. */
const saidBy = ({ json, text }: Pick<VendorResponse, "json" | "text">): string => {
  const { error, message } = fieldsOf(json)
  return typeof error === "string" ? error : typeof message === "string" ? message : text
}

const fieldsOf = (json: unknown): { readonly error?: unknown; readonly message?: unknown; readonly status?: unknown } =>
  typeof json === "object" && json !== null ? json : {}
