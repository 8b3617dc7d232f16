import * as Schema from "effect/Schema"
import { metadataDecoder } from "../adapter-kit/metadata-decoder.ts"
import { A_PUBLIC_KEY_PIN, PublicKeyPin } from "../adapter-kit/public-key-pin.ts"
import { checkAddressOptions } from "../contract/address-options.ts"
import type { AddressOptions } from "../contract/address-options.ts"
import { checkFields } from "../contract/fields.ts"
import type { MachineProvider } from "../contract/machine-provider.ts"
import { AN_ORIGIN, isOrigin } from "../contract/origin.ts"

/** What {@link url} takes. */
export interface UrlOptions extends AddressOptions {
  /**
   * Sent to every origin with every request: what a front server there requires. Secrets are allowed, so take records only
   * from those who may have them. A client's own field of the same name reaches the app under another name on the way.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Machines at fixed origins, with a machine proxy there: an external host, a tunnel. Runs everywhere. Public addresses only,
 * unless `allowCidrs` adds more; on Workers a name must be in `allowHosts`.
 *
 * Metadata: `origin`, `https://` or `http://` with a host and perhaps a port; `epoch`, any text that changes when another
 * machine takes its place, default constant; `pin`, where the machine proxy speaks TLS itself: what its command `pin` prints.
 *
 * @throws {TypeError} naming the option that is unknown or invalid; a header's value is never repeated
 * @example
 * url({ headers: { authorization: "Basic …" } })
 * { id: "mach_1", type: "url", externalId: "office", metadata: { origin: "https://office.example.com" } }
 */
export const url = (options: UrlOptions = {}): MachineProvider => {
  const addresses = checkAddressOptions("url", options, { fields: { headers: isPlain } })
  const headers = { ...options.headers }
  checkFields(headers)
  return {
    type: "url",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Between the router and the URL there is nothing but what its owner put there.
      carries: { trailers: true, duplex: true },
      wake: "none",
      ports: "any",
      interceptedHeaders: Object.keys(headers).map((name) => name.toLowerCase()),
    },
    async resolve(machine) {
      const { origin, epoch = "", pin } = decode(machine)
      const allowed = addresses.allowed(origin, machine, "origin")
      return { origin: allowed, headers, addresses: addresses.rule, pin, epoch, ttlMs: 60_000 }
    },
  }
}

/** A `Headers` or a `Map` has no properties: it would count as no headers at all. */
const isPlain = (value: unknown): string | undefined =>
  Object.prototype.toString.call(value) === "[object Object]" ? undefined : "an object of names and values"

const decode = metadataDecoder(
  Schema.Struct({
    origin: Schema.String.check(Schema.makeFilter(isOrigin)),
    epoch: Schema.optionalKey(Schema.String),
    pin: Schema.optionalKey(PublicKeyPin),
  }),
  {
    origin: AN_ORIGIN,
    epoch: "a string",
    pin: A_PUBLIC_KEY_PIN,
  },
)
