import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"
import { acceptSecret } from "../../adapter-kit/option-checks.ts"
import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import {
  MachineNotRunning,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { MachineProvider, Verdict } from "../../contract/machine-provider.ts"
import { checkAddressOptions } from "../../contract/address-options.ts"
import type { AddressOptions } from "../../contract/address-options.ts"
import { CLOUDFLARE_TUNNEL, TUNNEL_HOSTNAME } from "./tunnel-hostname.ts"

/** What {@link cloudflareTunnel} authenticates with at Cloudflare's edge. */
export interface CloudflareTunnelOptions extends AddressOptions {
  /**
   * A service token of Cloudflare Access, sent as `CF-Access-Client-Id` and `CF-Access-Client-Secret`. The application's
   * policy must have the action Service Auth, else Access asks for a login. Absent: the hostnames are open to everybody, and
   * only the machine proxy's tickets protect the machines.
   */
  readonly access?: { readonly clientId: string; readonly clientSecret: string }
}

/**
 * Machines that run `cloudflared` with the token of a named tunnel: only Cloudflare has to reach them. Runs everywhere.
 * Metadata: `hostname`, the tunnel's public hostname in lower case. Make the tunnel with `createTunnel`. It must have a public
 * address. Name your domain in `allowHosts`, which Workers require: the service token is sent to whatever host a record names.
 *
 * Give these hostnames a cache rule that bypasses the cache. Cloudflare caches by URL and file extension (`/app.js`), and
 * the URL contains neither the port nor the public name: one app's file would be served for another's.
 *
 * @throws {TypeError} for unknown or invalid options, naming the option and what it accepts
 *
 * @example
 * cloudflareTunnel({ access: { clientId, clientSecret }, allowHosts: ["*.machines.example.com"] })
 */
export const cloudflareTunnel = (options: CloudflareTunnelOptions = {}): MachineProvider => {
  const addresses = checkAddressOptions("cloudflareTunnel", options, { fields: { access: accept.object } })
  const { access } = options
  if (access !== undefined) {
    checkOptions(
      "cloudflareTunnel",
      access,
      { clientId: acceptSecret, clientSecret: acceptSecret },
      { required: ["clientId", "clientSecret"], at: "access" },
    )
  }
  const headers: Readonly<Record<string, string>> =
    access === undefined
      ? {}
      : { "CF-Access-Client-Id": access.clientId, "CF-Access-Client-Secret": access.clientSecret }
  return {
    type: CLOUDFLARE_TUNNEL,
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Cloudflare's FAQ of tunnels: no gRPC by public hostnames. Trailers get lost (github.com/cloudflare/cloudflared/issues/1641).
      carries: { trailers: false, duplex: false },
      wake: "none",
      ports: "any",
      // https://developers.cloudflare.com/fundamentals/reference/http-headers/ and github.com/cloudflare/cloudflared/issues/1426:
      // the edge appends its own client, which is the router. Not `accept-encoding`, which it overwrites: it recodes the
      // response into what it was asked for, so it has to see the field.
      interceptedHeaders: ["x-forwarded-for", "x-forwarded-proto"],
      // Access gives a service token a session cookie, which would open the hostname to anyone who gets the response.
      // https://developers.cloudflare.com/cloudflare-one/access-controls/service-credentials/service-tokens
      ...(access === undefined ? {} : { edgeCookies: ["CF_Authorization", "CF_AppSession"] }),
    },
    async resolve(machine) {
      const { hostname } = decode(machine)
      const origin = addresses.allowed(`https://${hostname}`, machine, "hostname")
      return { origin, headers, addresses: addresses.rule, epoch: hostname, ttlMs: 60_000 }
    },
    classify({ status, header, body = "" }, machine): Verdict {
      // A redirect to a login, or a refusal. The token is an option, so there is no newer one to fetch.
      if ((status >= 300 && status < 400) || status === 401 || status === 403) {
        return new ProviderAuth(machineRef(machine))
      }
      if (status === 429) {
        // In seconds: https://developers.cloudflare.com/fundamentals/api/reference/limits
        return new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: retryAfterMs(header("retry-after")) })
      }
      // Error 1033, in whichever form the page has: no `cloudflared` is connected. Other errors have this status too.
      if (status === 530 && /\b1033\b/.test(body)) {
        return new MachineNotRunning({ ...machineRef(machine), state: "not connected" })
      }
      if ((status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "check-status"
      return new ProviderUnavailable({
        ...machineRef(machine),
        reason: `HTTP ${status} without the stamp of the machine's proxy`,
      })
    },
  }
}

const decode = metadataDecoder(Schema.Struct({ hostname: Schema.String.check(Schema.isPattern(TUNNEL_HOSTNAME)) }), {
  hostname: "a lower-case hostname",
})
