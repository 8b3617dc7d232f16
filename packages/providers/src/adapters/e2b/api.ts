import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptApiBase, acceptSecret } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorRequest } from "../../adapter-kit/vendor-api.ts"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import { e2bFailure, messageOf } from "./failure.ts"
import { Sandbox } from "./sandbox.ts"

/** How `e2b` authenticates and reaches E2B. */
export interface E2bOptions {
  /** An API key of the team. Is sent to the API and never to a sandbox. */
  readonly apiKey: string
  /** Sends requests to the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Where sandboxes are reached: `8080-{id}.{domain}`. Where the API names another domain for a sandbox, that one counts. Default `e2b.app`. */
  readonly domain?: string
  /** Where the API is. Without TLS only on names that end with `.internal` and on loopback. Default `https://api.{domain}`. */
  readonly apiBase?: string
  /**
   * For how long a sandbox runs after it was last used, in ms, from 60 000 to 3 600 000. A longer time that it already has is not
   * shortened. Default 300 000.
   */
  readonly idleTimeoutMs?: number
}

const Connected = Schema.Struct({ trafficAccessToken: Schema.optionalKey(Schema.NullOr(Schema.String)) })

/** A client of E2B's API. All reject with what an error response means. */
export interface E2bApi {
  /** Never changes anything. */
  sandbox(machine: Machine, signal: AbortSignal): Promise<Sandbox>
  /** Resumes a paused sandbox, and makes a running one last longer. The only call that gives the token of its edge again. */
  connect(machine: Machine, signal: AbortSignal): Promise<typeof Connected.Type>
  /** Makes a running sandbox last longer. Never resumes one. */
  refresh(machine: Machine, signal: AbortSignal): Promise<void>
}

/** Throws a `TypeError` for invalid options. */
export const e2bApi = (options: E2bOptions): E2bApi => {
  checkOptions(
    "e2b",
    options,
    {
      apiKey: acceptSecret,
      fetch: accept.function,
      domain: acceptDomain,
      apiBase: acceptApiBase(),
      idleTimeoutMs: accept.integer(60_000, 3_600_000),
    },
    { required: ["apiKey"] },
  )
  const { apiKey, fetch, domain = DOMAIN, apiBase = `https://api.${domain}`, idleTimeoutMs = 300_000 } = options
  const seconds = Math.ceil(idleTimeoutMs / 1_000)
  const api = vendorApi({
    apiBase,
    secrets: { apiKey },
    headers: { "x-api-key": apiKey },
    fetch,
    causeOf: (response) => `E2B responded with ${response.status}: ${messageOf(response.json)}`,
  })
  const request = async (machine: Machine, wanted: VendorRequest) => {
    const response = await api.request(machine, wanted)
    if (!response.ok) throw e2bFailure(response)
    return response
  }

  return {
    sandbox: async (machine, signal) => (await request(machine, { path: path(machine), signal })).decode(Sandbox),
    async connect(machine, signal) {
      const wanted = {
        method: "POST",
        path: `/v2${path(machine)}/connect`,
        body: { timeout: seconds },
        signal,
      } as const
      return (await request(machine, wanted)).decode(Connected)
    },
    // Not `/timeout`, which would shorten a time that is longer already.
    async refresh(machine, signal) {
      const wanted = {
        method: "POST",
        path: `${path(machine)}/refreshes`,
        body: { duration: seconds },
        signal,
      } as const
      await request(machine, wanted)
    },
  }
}

// A part of one DNS label, which keeps an id from changing the path or the host. Old ids have a second part.
const path = (machine: Machine): `/sandboxes/${string}` => {
  if (/^[a-z0-9](?:[a-z0-9-]{0,56}[a-z0-9])?$/.test(machine.externalId)) return `/sandboxes/${machine.externalId}`
  throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "a sandbox's id" })
}

/** The domain of E2B's own cloud. */
export const DOMAIN = "e2b.app"

/** Whether a text is a domain that sandboxes may be reached under. */
export const isDomain = (text: unknown): text is string =>
  typeof text === "string" &&
  /^(?=.{1,190}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(text)

const acceptDomain: OptionCheck = (value) => (isDomain(value) ? undefined : "a domain in lower case: e2b.app")
