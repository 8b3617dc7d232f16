import {
  MachineNotFound,
  MachineNotRunning,
  MachineStarting,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import { isSecret } from "../../contract/fields.ts"
import type {
  Endpoint,
  Machine,
  MachineProvider,
  MachineState,
  MachineStatus,
  Verdict,
} from "../../contract/machine-provider.ts"
import { daytonaApi, invalidResponse } from "./api.ts"
import type { DaytonaOptions } from "./api.ts"
import { rateLimited } from "./rate-limited.ts"

export type { DaytonaOptions } from "./api.ts"
export { signedPreviewUrl } from "./signed-preview.ts"
export type { SignedPreview, SignedPreviewRequest } from "./signed-preview.ts"

/** The machine proxy's port: the only one that a preview link is requested for, whichever port is wanted behind it. */
const PROXY_PORT = 8080

/**
 * Sandboxes of Daytona. Runs everywhere. `externalId` is a sandbox's id; a name works as long as no other sandbox gets it.
 * No metadata.
 *
 * Keep sandboxes private: the edge of a public one passes the preview token on to the app, and serves anyone who knows the
 * URL. A private one is reached with the token only, which every start replaces: the endpoint's epoch is a digest of it.
 * The edge may send a small request a second time on a stale connection, whatever its method: an app may see a POST twice.
 * With a name instead of an id, each report that it is in use costs one more API request.
 * An endpoint costs two API requests and is used for 5 minutes; the API's limit is 10 000 to 50 000 requests a minute, by
 * tier.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts
 *
 * @example
 * daytona({ apiKey: process.env.DAYTONA_API_KEY })
 */
export const daytona = (options: DaytonaOptions): MachineProvider => {
  const api = daytonaApi("daytona", options)
  const { wire } = api

  return {
    type: "daytona",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Its proxy's documentation says nothing of either.
      carries: { trailers: false, duplex: false },
      wake: "start",
      ports: "any",
      interceptedHeaders: wire.interceptedHeaders,
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      // A link is given for a sandbox in any state, and a request to a stopped one is lost with its body: so both are needed.
      const [{ state }, link] = await Promise.all([
        api.request(machine, wire.sandbox, signal),
        api.request(machine, (sandbox) => wire.previewUrl(sandbox, PROXY_PORT), signal),
      ])
      if (!wire.mayServe(state)) refuseUnlessRunning(wire.stateOf(state), state, machine)
      // A token is one field's value; anything else would become another field, or an error that repeats it.
      if (!isSecret(link.token)) throw invalidResponse(machine)
      return {
        origin: api.originOf(link.url, machine),
        headers: wire.edgeHeaders(link.token),
        epoch: await digest(link.token),
        ttlMs: 300_000,
      }
    },

    classify(response, machine): Verdict {
      const unavailable = (reason: string) => new ProviderUnavailable({ ...machineRef(machine), reason })
      switch (wire.classifyEdgeResponse(response)) {
        case "credentials":
          return "refresh-credentials"
        case "not-running":
          return new MachineNotRunning({ ...machineRef(machine), state: "not running" })
        case "rate-limited": {
          const names = ["retry-after", ...wire.throttlers.map((throttler) => `retry-after-${throttler}`)]
          return rateLimited(machine, names.map(response.header))
        }
        case "runner-unavailable":
          return unavailable("runner unavailable")
        case "unclear":
          return "check-status"
        case "page":
          return unavailable("an HTML page of the platform")
        case "other":
      }
      return unavailable(`HTTP ${response.status} without the stamp of the machine's proxy`)
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const { state: detail } = await api.request(machine, wire.sandbox, signal)
        const state = wire.stateOf(detail)
        return detail === undefined ? { state } : { state, detail }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<void> {
      await api.request(machine, wire.start, signal)
    },

    async keepAlive(machine, { signal }): Promise<void> {
      const { externalId } = machine
      const id = wire.isId(externalId) ? externalId : (await api.request(machine, wire.sandbox, signal)).id
      if (id === undefined) throw invalidResponse(machine)
      await api.request({ ...machine, externalId: id }, wire.lastActivity, signal)
    },
  }
}

const refuseUnlessRunning = (state: MachineState, detail: string | undefined, machine: Machine): void => {
  switch (state) {
    case "running":
    case "unknown":
      return
    case "gone":
      throw new MachineNotFound(machineRef(machine))
    case "starting":
      throw new MachineStarting(machineRef(machine))
    case "stopping":
    case "stopped":
    case "suspended":
    case "failed":
      throw new MachineNotRunning({ ...machineRef(machine), state: detail ?? state })
  }
}

const digest = async (secret: string): Promise<string> => {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret)))
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("")
}
