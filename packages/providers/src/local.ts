import * as Schema from "effect/Schema"
import { metadataDecoder } from "./metadata.ts"
import type { MachineProvider } from "./machine-provider.ts"

/**
 * Machines that need no provider: a machine proxy on a host and port that this process can reach. Runs everywhere.
 *
 * Metadata: `port`, 1 to 65535; `host`, default `127.0.0.1`; `epoch`, any text that changes when another proxy takes its
 * place, default constant.
 *
 * @example
 * { id: "mach_1", type: "local", externalId: "dev", metadata: { port: 8080 } }
 */
export const local = (): MachineProvider => ({
  type: "local",
  capabilities: { runtimes: ["node", "bun", "deno", "workerd"], webSocket: true, wake: "none", eatenHeaders: [] },
  async resolve(machine) {
    const { host = "127.0.0.1", port, epoch = "" } = decode(machine)
    return { origin: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, epoch, cacheForMs: 60_000 }
  },
})

const decode = metadataDecoder(
  Schema.Struct({
    // A name, an IPv4 or an IPv6 address without brackets; the origin that comes of it is checked once more.
    host: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:-]{1,253}$/))),
    port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 })),
    epoch: Schema.optionalKey(Schema.String),
  }),
  { host: "a hostname or an IP address", port: "an integer from 1 to 65535", epoch: "a string" },
)
