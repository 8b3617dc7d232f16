import * as Schema from "effect/Schema"
import { checkFields } from "../contract/fields.ts"
import type { MachineProvider } from "../contract/machine-provider.ts"
import { metadataDecoder } from "../adapter-kit/metadata-decoder.ts"
import { AN_ORIGIN, isOrigin } from "../contract/origin.ts"

export interface UrlOptions {
  /**
   * Sent to every origin with every request: what a front server there asks for. Secrets are allowed, so take records from
   * nobody who may not have them. A client's own field of the same name is tunnelled to the app.
   */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Machines at fixed origins: an external host, somebody's tunnel. Runs everywhere.
 *
 * Metadata: `origin`, `https://` or `http://` with a host and perhaps a port; `epoch`, any text that changes when another
 * machine takes its place, default constant. Throws a `TypeError` for headers that are none.
 *
 * @example
 * { id: "mach_1", type: "url", externalId: "office", metadata: { origin: "https://office.example.com" } }
 */
export const url = (options: UrlOptions = {}): MachineProvider => {
  const headers = { ...options.headers }
  checkFields(headers)
  return {
    type: "url",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "none",
      ports: "any",
      interceptedHeaders: Object.keys(headers).map((name) => name.toLowerCase()),
    },
    async resolve(machine) {
      const { origin, epoch = "" } = decode(machine)
      return { origin, headers, epoch, ttlMs: 60_000 }
    },
  }
}

const decode = metadataDecoder(
  Schema.Struct({
    origin: Schema.String.check(Schema.makeFilter(isOrigin)),
    epoch: Schema.optionalKey(Schema.String),
  }),
  {
    origin: AN_ORIGIN,
    epoch: "a string",
  },
)
