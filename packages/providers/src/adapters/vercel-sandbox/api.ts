import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptApiBase, acceptSecret } from "../../adapter-kit/option-checks.ts"
import { vendorApi } from "../../adapter-kit/vendor-api.ts"
import type { VendorRequest, VendorResponse } from "../../adapter-kit/vendor-api.ts"
import {
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { ProviderError } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import { Found } from "./session.ts"

/** How `vercelSandbox` authenticates and reaches Vercel's API. */
export interface VercelSandboxOptions {
  /** An access token with rights for the team. Is sent to the API and never to a sandbox. */
  readonly token: string
  /** The team's id: `team_…`. */
  readonly teamId: string
  /** The id of the project that the sandboxes belong to: `prj_…`. */
  readonly projectId: string
  /**
   * What starts the machine proxy in a sandbox, a program and its arguments: `["project-ingress-machine-proxy"]`. Vercel keeps the
   * files of a sandbox that is stopped and none of its processes, so that this is run whenever a request has started one. Without
   * it no request starts a sandbox.
   */
  readonly startCommand?: readonly string[]
  /** Sends requests to the API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** Where the API is. Without TLS only on names that end with `.internal` and on loopback. Default `https://vercel.com/api`. */
  readonly apiBase?: string
  /** For how long a sandbox runs after it was last used, in ms, from 60 000. A longer time that it already has is not shortened. Default 300 000. */
  readonly idleTimeoutMs?: number
}

/** A client of Vercel's API. All reject with what an error response means. */
export interface VercelSandboxApi {
  /** `resume`: starts a session unless one runs. */
  sandbox(machine: Machine, options: { readonly resume: boolean; readonly signal: AbortSignal }): Promise<Found>
  /** Starts a program in the session, and waits for nothing. */
  run(machine: Machine, session: string, command: readonly string[], signal: AbortSignal): Promise<void>
  /** Makes the session longer by so many ms. */
  extend(machine: Machine, session: string, ms: number, signal: AbortSignal): Promise<void>
}

/** Throws a `TypeError` for invalid options. */
export const vercelSandboxApi = (options: VercelSandboxOptions): VercelSandboxApi => {
  checkOptions(
    "vercelSandbox",
    options,
    {
      token: acceptSecret,
      teamId: acceptSecret,
      projectId: acceptSecret,
      startCommand: acceptCommand,
      fetch: accept.function,
      apiBase: acceptApiBase(),
      idleTimeoutMs: accept.integer(60_000),
    },
    { required: ["token", "teamId", "projectId"] },
  )
  const { token, teamId, projectId, fetch, apiBase = "https://vercel.com/api" } = options
  const api = vendorApi({
    apiBase,
    secrets: { token },
    headers: { authorization: `Bearer ${token}` },
    fetch,
    // Only a code: a text may repeat anything.
    causeOf: (response) => `Vercel responded with ${response.status}: ${codeOf(response) ?? "no code"}`,
  })
  const request = async (machine: Machine, wanted: VendorRequest): Promise<VendorResponse> => {
    const response = await api.request(machine, wanted)
    if (!response.ok) throw failureOf(response)
    return response
  }
  const team = `teamId=${encodeURIComponent(teamId)}`
  const project = `projectId=${encodeURIComponent(projectId)}`

  return {
    async sandbox(machine, { resume, signal }) {
      // Without a name the path is that of the list of all sandboxes.
      if (machine.externalId === "") {
        throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "a sandbox's name" })
      }
      const name = encodeURIComponent(machine.externalId)
      const path = `/v2/sandboxes/${name}?${team}&${project}&resume=${resume}` as const
      return (await request(machine, { path, signal })).decode(Found)
    },
    async run(machine, session, [command, ...args], signal) {
      const body = { command, args, env: {}, sudo: false }
      await request(machine, { method: "POST", path: `${sessionPath(session)}/cmd?${team}`, body, signal })
    },
    async extend(machine, session, ms, signal) {
      const path = `${sessionPath(session)}/extend-timeout?${team}` as const
      await request(machine, { method: "POST", path, body: { duration: ms }, signal })
    },
  }
}

const sessionPath = (session: string) => `/v2/sandboxes/sessions/${encodeURIComponent(session)}` as const

const acceptCommand: OptionCheck = (value) =>
  Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === "string") && value[0] !== ""
    ? undefined
    : "an array of a program and its arguments"

const failureOf = (response: VendorResponse): ProviderError => {
  const { status, where } = response
  const code = codeOf(response)
  // Its session is over, or there is nothing that a new one could begin with.
  if (status === 410) {
    const state = code === "snapshot_not_found" ? "stopped, and its snapshot does not exist" : "stopped"
    return new MachineNotRunning({ ...where, state })
  }
  // `sandbox_stopping`, `sandbox_snapshotting`: it can be resumed when that is over.
  if (status === 422 && code?.startsWith("sandbox_") === true) return new MachineStarting(where)
  const known = [401, 403, 404, 409, 429].includes(status) || code === undefined
  return known ? response.failure() : new ProviderUnavailable({ ...where, reason: `HTTP ${status} (${code})` })
}

const codeOf = ({ json }: Pick<VendorResponse, "json">): string | undefined => {
  const { error } = (json ?? {}) as { readonly error?: { readonly code?: unknown } | null }
  const code = error?.code
  return typeof code === "string" && /^[a-z][a-z_]{0,62}$/.test(code) ? code : undefined
}
