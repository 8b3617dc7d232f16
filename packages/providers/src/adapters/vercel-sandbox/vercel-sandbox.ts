import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus, Verdict } from "../../contract/machine-provider.ts"
import { vercelSandboxApi } from "./api.ts"
import type { VercelSandboxOptions } from "./api.ts"
import { stateOf, uptimeOf } from "./session.ts"
import type { Found } from "./session.ts"

export type { VercelSandboxOptions } from "./api.ts"

/** The machine proxy's port, which every sandbox has to declare. */
const PROXY_PORT = 8080

/**
 * Sandboxes of Vercel. Runs everywhere. `externalId` is a sandbox's name. No metadata.
 *
 * Make them with `ports: [8080]`: a port can be reached only if it is declared, and the machine proxy leads to all others. A request
 * starts a stopped one only with `startCommand`.
 *
 * **The edge guards nothing.** Whoever knows the hostname of a sandbox reaches its machine proxy, whose ticket is the only
 * guard: run it with keys, and declare no port of an app beside 8080.
 *
 * A sandbox runs in sessions, and each has a hostname of its own. An endpoint costs one API request and is used for a minute; a
 * report that it is in use costs one or two.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts
 *
 * @example
 * const startCommand = ["project-ingress-machine-proxy"]
 * vercelSandbox({ token: process.env.VERCEL_TOKEN, teamId: "team_1", projectId: "prj_1", startCommand })
 */
export const vercelSandbox = (options: VercelSandboxOptions): MachineProvider => {
  const api = vercelSandboxApi(options)
  const { idleTimeoutMs = 300_000 } = options
  const startCommand = options.startCommand && [...options.startCommand]

  return {
    type: "vercel-sandbox",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Not known of Vercel's edge.
      carries: { trailers: false, duplex: false },
      wake: startCommand === undefined ? "none" : "start",
      // One declared port leads to the machine proxy, and the machine proxy to every port.
      ports: "any",
      // Vercel's edge writes its own in their place.
      interceptedHeaders: ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      return endpointOf(machine, await api.sandbox(machine, { resume: false, signal }))
    },

    classify({ status, header }, machine): Verdict {
      // 410 for a session that is over, 404 for one that never was, 502 for a closed port. The hostname may be that of a session
      // before the present one, so the API is asked.
      if (status === 404 || status === 410 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) {
        return "check-status"
      }
      if (status === 429) {
        return new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: retryAfterMs(header("retry-after")) })
      }
      const reason = `HTTP ${status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...machineRef(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const { session } = await api.sandbox(machine, { resume: false, signal })
        return { state: stateOf(session), detail: session.status, ...uptimeOf(session) }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    ...(startCommand !== undefined && {
      async start(machine: Machine, { signal }: { readonly signal: AbortSignal }): Promise<void> {
        const { session, resumed } = await api.sandbox(machine, { resume: true, signal })
        if (resumed === true) await api.run(machine, session.id, startCommand, signal)
      },
    }),

    // A request adds time to a session's, so only what is missing is added.
    async keepAlive(machine, { signal }): Promise<void> {
      const { session } = await api.sandbox(machine, { resume: false, signal })
      if (stateOf(session) !== "running") return
      const endsAt = (session.startedAt ?? session.createdAt) + session.timeout
      const missing = Math.ceil(Date.now() + idleTimeoutMs - endsAt)
      if (missing > 0) await api.extend(machine, session.id, missing, signal)
    },
  }
}

const endpointOf = (machine: Machine, { session, routes }: Found): Endpoint => {
  const state = stateOf(session)
  if (state === "starting") throw new MachineStarting(machineRef(machine))
  if (state !== "running" && state !== "unknown") {
    throw new MachineNotRunning({ ...machineRef(machine), state: session.status })
  }
  const route = routes.find(({ port }) => port === PROXY_PORT)
  if (route === undefined) {
    const accepted = `a sandbox that declares the machine proxy's port: Sandbox.create({ ports: [${PROXY_PORT}] })`
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted })
  }
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(route.subdomain)) {
    throw new ProviderUnavailable({ ...machineRef(machine), reason: "invalid response" })
  }
  return { origin: `https://${route.subdomain}.vercel.run`, epoch: session.id, ttlMs: 60_000, ...uptimeOf(session) }
}
