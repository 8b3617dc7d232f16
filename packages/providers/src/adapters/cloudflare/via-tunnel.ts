import * as Schema from "effect/Schema"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"
import { isProvider } from "../../contract/validate.ts"
import type { MachineProvider } from "../../contract/machine-provider.ts"
import { cloudflareTunnel } from "./provider.ts"
import type { CloudflareTunnelOptions } from "./provider.ts"
import { TUNNEL_HOSTNAME } from "./tunnel-hostname.ts"

/**
 * Machines of another provider, reached through a tunnel each: the endpoint is the tunnel's, while `status`, `start`, `keepAlive` and
 * `watch` are the vendor's, so that a machine that sleeps still wakes. A record's metadata is what the vendor's adapter needs, and
 * beside it `tunnel: { hostname }`. Every vendor's machines are then reached in one way, and only Cloudflare has to reach them.
 *
 * @throws {TypeError} for a provider that is invalid or whose machines every request starts, and for options as `cloudflareTunnel`
 *
 * @example
 * viaTunnel(fly({ token }), { access: { clientId, clientSecret }, allowHosts: ["*.machines.example.com"] })
 */
export const viaTunnel = (provider: MachineProvider, options: CloudflareTunnelOptions = {}): MachineProvider => {
  if (!isProvider(provider)) throw new TypeError("viaTunnel: provider must be what an adapter gives: fly({ token })")
  const { type, capabilities } = provider
  if (capabilities.wake === "request") {
    throw new TypeError(`viaTunnel: provider must not be ${type}, whose machines every request starts by itself`)
  }
  const tunnel = cloudflareTunnel(options)
  const runtimes = tunnel.capabilities.runtimes.filter((runtime) => capabilities.runtimes.includes(runtime))
  return {
    type,
    capabilities: { ...tunnel.capabilities, runtimes, wake: capabilities.wake },
    resolve: async (machine, context) => tunnel.resolve({ ...machine, metadata: decode(machine).tunnel }, context),
    classify: (response, machine) => {
      const verdict = tunnel.classify!(response, machine)
      // No connection may mean that the machine sleeps, that it starts, or that only its `cloudflared` is gone: the vendor knows.
      const isDisconnected = typeof verdict === "object" && verdict._tag === "MachineNotRunning"
      return isDisconnected && provider.status !== undefined ? "check-status" : verdict
    },
    ...(provider.status && { status: (machine, context) => provider.status!(machine, context) }),
    // The endpoint that a vendor may give is another way to the machine than the tunnel.
    ...(provider.start && { start: async (machine, context) => void (await provider.start!(machine, context)) }),
    ...(provider.keepAlive && { keepAlive: (machine, context) => provider.keepAlive!(machine, context) }),
    ...(provider.watch && { watch: (context) => provider.watch!(context) }),
  }
}

const decode = metadataDecoder(
  Schema.Struct({ tunnel: Schema.Struct({ hostname: Schema.String.check(Schema.isPattern(TUNNEL_HOSTNAME)) }) }),
  { tunnel: "{ hostname }, the tunnel's lower-case hostname" },
)
