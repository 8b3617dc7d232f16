import type { AddressRule } from "@project-ingress/forward/internal"
import { checkAddressOptions } from "../../contract/address-options.ts"
import type { Addresses } from "../../contract/address-options.ts"
import { ProviderUnavailable, machineRef } from "../../contract/errors.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus, Verdict } from "../../contract/machine-provider.ts"
import { flyInterceptedHeaders } from "./intercepted-headers.ts"
import { flyApi } from "./machines-api.ts"
import type { FlyOptions } from "./machines-api.ts"
import { FlyMachine, uptimeMsOf } from "./machine.ts"
import { decodeRecord } from "./record.ts"
import { flyFailure, flyState, refusedState } from "./translate.ts"

export type { FlyOptions } from "./machines-api.ts"

/**
 * Machines of Fly.io. Runs everywhere.
 *
 * `externalId` is a machine's id. Metadata: `app`, the name of its app; `network`, the way there: `public` (default), over
 * Fly's edge, `flycast`, over its proxy from inside Fly, or `6pn`, straight to the machine from inside Fly; `domain`, a
 * hostname with a certificate of that app, for `public`, default `{app}.fly.dev`, which must have a public address, and on Workers
 * be in `allowHosts`; `port`, where the machine proxy is reached there, default 443, 80 and 8080; `pin`, for `6pn`, where the
 * machine proxy speaks TLS itself: what its command `pin` prints. On the first two it selects the service in the machine's config, whose `internal_port`
 * must be the machine proxy's.
 *
 * An endpoint is made of the record alone: no request waits for the Machines API or depends on its rate limits, and the
 * edge's responses show that a machine is stopped. Its epoch is the machine's id, because what a restart changes is behind
 * the edge. The ticket proves that the right machine responds.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts
 *
 * @example
 * fly({ token: process.env.FLY_API_TOKEN })
 */
export const fly = (options: FlyOptions): MachineProvider => {
  const api = flyApi(options)
  const { allowCidrs, allowHosts } = options
  const addresses = checkAddressOptions("fly", { allowCidrs, allowHosts })
  const endpointOf = (machine: Machine): Endpoint => endpointBy(addresses, machine)

  return {
    type: "fly",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Fly documents gRPC for services whose machines speak HTTP/2 (h2_backend). Ours speak HTTP/1.1 there, of which it says nothing.
      carries: { trailers: false, duplex: false },
      wake: "start",
      // One service leads to the machine proxy, and the machine proxy to every port.
      ports: "any",
      interceptedHeaders: flyInterceptedHeaders,
    },

    resolve: async (machine) => endpointOf(machine),

    classify({ status, header }, machine): Verdict {
      // Fly's edge adds its headers to an app's responses too and documents no body, so only the status is known. 520 to 530
      // is what Cloudflare generates in Fly's place when a Worker cannot reach it.
      if (status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "check-status"
      // Over plain HTTP, `force_https` in the machine's config redirects to https.
      const forced = machine.metadata["network"] === "flycast" && header("location")?.startsWith("https://") === true
      const reason =
        status >= 300 && status < 400
          ? `the edge redirects${forced ? " to https (force_https)" : ""}: HTTP ${status}`
          : `HTTP ${status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...machineRef(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      const response = await api.request(machine, { path: path(machine), signal })
      if (!response.ok) {
        const failure = flyFailure(response)
        if (failure._tag === "MachineNotFound") return { state: "gone" }
        throw failure
      }
      const found = response.decode(FlyMachine)
      // Fly keeps reporting `started` for a machine whose host is lost.
      if (found.host_status === "unreachable") {
        throw new ProviderUnavailable({ ...machineRef(machine), reason: "its host is unreachable" })
      }
      const state = flyState(found.state)
      const uptimeMs = state === "running" ? uptimeMsOf(found) : undefined
      return { state, detail: found.state, ...(uptimeMs === undefined ? {} : { uptimeMs }) }
    },

    async start(machine, { signal }): Promise<Endpoint> {
      const response = await api.request(machine, { method: "POST", path: `${path(machine)}/start`, signal })
      const refused = flyState(refusedState(response))
      // A refusal because it is running or starting is what was wanted.
      if (!response.ok && refused !== "running" && refused !== "starting") throw flyFailure(response)
      // Fly responds to this when the machine has booted, or after a minute. A request to its edge before that would wait as
      // long and then get a 502.
      const wait = `${path(machine)}/wait?state=started&timeout=60` as const
      const booted = await api.request(machine, { path: wait, signal })
      if (!booted.ok) throw flyFailure(booted)
      return endpointOf(machine)
    },
  }
}

const DAY_MS = 86_400_000

/** Fly's own names: what they lead to is Fly's to say, and is checked all the same. 6PN and flycast are in `fdaa::/16`. */
const EDGE: AddressRule = { allowHosts: ["*.fly.dev"] }
const PRIVATE: AddressRule = { allowHosts: ["*.internal", "*.flycast"], allowCidrs: ["fdaa::/16"] }

const endpointBy = (addresses: Addresses, machine: Machine): Endpoint => {
  const { app, network = "public", domain, port, pin } = decodeRecord(machine)
  const id = machine.externalId
  const steady = { epoch: id, ttlMs: DAY_MS }
  // This way bypasses Fly's proxy, so that no routing header is needed.
  if (network === "6pn") {
    const scheme = pin === undefined ? "http" : "https"
    const origin = `${scheme}://${id}.vm.${app}.internal:${port ?? 8080}`
    return { origin, pin, addresses: PRIVATE, ...steady }
  }
  // Never `fly-prefer-instance-id`: when that fails, Fly sends the request to another machine of the app.
  const forced = { headers: { "fly-force-instance-id": id }, ...steady }
  if (network === "flycast") return { origin: `http://${app}.flycast:${port ?? 80}`, addresses: PRIVATE, ...forced }
  const origin = `https://${domain ?? `${app}.fly.dev`}:${port ?? 443}`
  if (domain === undefined) return { origin, addresses: EDGE, ...forced }
  // With its port, which a URL in normal form leaves out.
  addresses.allowed(origin, machine, "domain")
  return { origin, addresses: addresses.rule, ...forced }
}

const path = (machine: Machine) => `/apps/${decodeRecord(machine).app}/machines/${machine.externalId}` as const
