import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import type { VendorResponse } from "../../adapter-kit/vendor-api.ts"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { Machine, PlatformResponse, Verdict } from "../../contract/machine-provider.ts"

/** What an error response of E2B's API means. */
export const e2bFailure = (response: VendorResponse): ProviderError => {
  const { status, where } = response
  const message = messageOf(response.json)
  // A new key would change nothing about the first and the second.
  if (status === 403 && /^team is (?:blocked|banned)/.test(message)) {
    return new ProviderUnavailable({ ...where, reason: "team blocked" })
  }
  if (status === 429 && isQuota(message)) return new ProviderUnavailable({ ...where, reason: "quota exceeded" })
  // It was killed.
  if (status === 410) return new MachineNotFound(where)
  return response.failure()
}

/** What a response of E2B's edge itself means. It writes JSON with a message, or a page for what looks like a browser. */
export const classifyEdgeResponse = ({ status, header, body }: PlatformResponse, machine: Machine): Verdict => {
  const where = machineRef(machine)
  const message = body === undefined ? "" : Option.getOrElse(decodeBody(body), () => ({ message: "" })).message
  switch (status) {
    case 403:
      // By the address of the client or by the port, which is the sandbox's own list; not for want of a token.
      return message.startsWith("Access denied")
        ? new ProviderUnavailable({ ...where, reason: "the sandbox does not allow this client or port 8080" })
        : "refresh-credentials"
    // While it is resumed or a snapshot is made of it.
    case 409:
      return message.includes("is paused")
        ? new MachineNotRunning({ ...where, state: "paused" })
        : new MachineStarting({ ...where, retryAfterMs: retryAfterMs(header("retry-after")) })
    case 429:
      return isQuota(message)
        ? new ProviderUnavailable({ ...where, reason: "quota exceeded" })
        : new ProviderRateLimited({ ...where, retryAfterMs: retryAfterMs(header("retry-after")) })
  }
  // 502 is a closed port as well as a sandbox that does not run or does not exist, which older installations answer with 404.
  if (status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "check-status"
  return new ProviderUnavailable({ ...where, reason: `HTTP ${status} without the stamp of the machine's proxy` })
}

/** The sentence of an error response; empty if it has none. */
export const messageOf = (json: unknown): string => {
  const { message } = (json ?? {}) as { readonly message?: unknown }
  return typeof message === "string" ? message : ""
}

const isQuota = (message: string): boolean => /maximum number of concurrent|sandbox limit reached/i.test(message)

const decodeBody = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ message: Schema.String })))
