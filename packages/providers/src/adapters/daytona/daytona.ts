import { daytonaApi, notUnderstood, rateLimited } from "./api.ts"
import type { DaytonaOptions } from "./api.ts"
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

export type { DaytonaOptions } from "./api.ts"
export { signedPreviewUrl } from "./signed-preview.ts"
export type { SignedPreview, SignedPreviewRequest } from "./signed-preview.ts"

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
  const api = daytonaApi(options)
  const { wire } = api

  return {
    type: "daytona",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "start",
      ports: "any",
      interceptedHeaders: wire.interceptedHeaders,
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      // A link is given for a sandbox in any state, and a request sent to a sleeping one is lost with its body: so both.
      const [{ state }, link] = await Promise.all([
        api.ask(machine, wire.sandbox, signal),
        api.ask(machine, (sandbox) => wire.previewUrl(sandbox, PROXY_PORT), signal),
      ])
      if (!wire.mayServe(state)) refuseUnlessRunning(wire.stateOf(state), state, machine)
      // A token is one header's value; anything else would become another header or an error that repeats it.
      if (!isSecret(link.token)) throw notUnderstood(machine)
      return {
        origin: api.originOf(link.url, machine),
        headers: wire.edgeHeaders(link.token),
        epoch: await digest(link.token),
        ttlMs: 300_000,
      }
    },

    classify(answer, machine): Verdict {
      switch (wire.edgeWord(answer)) {
        case "credentials":
          return "refresh-credentials"
        case "not-running":
          return new MachineNotRunning({ ...machineRef(machine), state: "not running" })
        case "rate-limited": {
          const names = ["retry-after", ...wire.throttlers.map((throttler) => `retry-after-${throttler}`)]
          return rateLimited(machine, names.map(answer.header))
        }
        case "runner-unavailable":
          return new ProviderUnavailable({ ...machineRef(machine), reason: "runner unavailable" })
        case "unclear":
          return "check-status"
        case "page":
          return new ProviderUnavailable({ ...machineRef(machine), reason: "a page of the platform's own" })
        case "other":
      }
      const reason = `HTTP ${answer.status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...machineRef(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const { state: detail } = await api.ask(machine, wire.sandbox, signal)
        const state = wire.stateOf(detail)
        return detail === undefined ? { state } : { state, detail }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<void> {
      await api.ask(machine, wire.start, signal)
    },

    async keepAlive(machine, { signal }): Promise<void> {
      await api.ask(machine, wire.lastActivity, signal)
    },
  }
}

const refuseUnlessRunning = (state: MachineState, word: string | undefined, machine: Machine): void => {
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
      throw new MachineNotRunning({ ...machineRef(machine), state: word ?? state })
  }
}

const digest = async (secret: string): Promise<string> => {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret)))
  return Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("")
}
