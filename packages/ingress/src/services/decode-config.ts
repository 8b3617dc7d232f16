import { accept, checkOptions } from "@project-ingress/router/internal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { schemaProblems, visible } from "../resource/schema-problems.ts"
import { ConfigInvalid } from "./config-invalid.ts"
import type { ServicesConfig } from "./services-config.ts"

/** Names that a customer may not use. */
export interface DecodeConfigOptions {
  /** Names of services that the platform keeps for itself. Default: none. */
  readonly reserved?: readonly string[]
}

const MAX_SERVICES = 100
const PORT = "an integer from 1 to 65535"

/** As `isServiceName` of the grammar: digits alone would be a port, and `xn--misha` an internationalized label (RFC 5890 §2.3.1). */
const isName = (name: string): boolean =>
  name.length <= 63 && /^[a-z\d]+(?:-[a-z\d]+)*$/.test(name) && !/^\d+$/.test(name) && name !== "xn"

const ConfigSchema = Schema.Struct({
  services: Schema.Record(
    Schema.String,
    Schema.Struct({
      port: Schema.Number.check(
        Schema.makeFilter<number>((value) => Number.isSafeInteger(value) && value >= 1 && value <= 65_535, {
          expected: PORT,
        }),
      ),
      visibility: Schema.optionalKey(
        Schema.Literals(["public", "private"]).annotate({ expected: "public or private" }),
      ),
    }),
  ),
})

/**
 * Checks a configuration that may be anything: a customer wrote it.
 *
 * @throws {ConfigInvalid} with all that is wrong
 */
export const decodeConfig = (value: unknown, options: DecodeConfigOptions = {}): ServicesConfig => {
  checkOptions("decodeConfig", options, { reserved: accept.array(accept.string) })
  const decoded = Schema.decodeUnknownResult(ConfigSchema, { onExcessProperty: "error", errors: "all" })(value)
  if (Result.isFailure(decoded)) {
    const misfits = schemaProblems(decoded.failure.issue).slice(0, MAX_SERVICES)
    throw new ConfigInvalid({ problems: misfits.map(({ path, accepted }) => ({ field: path.join("."), accepted })) })
  }
  const services = Object.entries(decoded.success.services)
  const problems: { field: string; accepted: string }[] = []
  if (services.length > MAX_SERVICES) problems.push({ field: "services", accepted: `at most ${MAX_SERVICES}` })
  const first = new Map<number, (typeof services)[number]>()
  for (const [name, service] of services.slice(0, MAX_SERVICES)) {
    const field = `services.${visible(name)}`
    if (!isName(name)) {
      problems.push({
        field,
        accepted: "under a name of lower-case letters, digits and single inner hyphens, not only digits",
      })
    } else if (options.reserved?.includes(name) === true)
      problems.push({ field, accepted: "under another name: the platform keeps this one" })
    const other = first.get(service.port)
    first.set(service.port, other ?? [name, service])
    // Settings belong to a port: two names of one cannot differ in them.
    if (other !== undefined && other[1].visibility !== service.visibility) {
      problems.push({ field: `${field}.visibility`, accepted: `as of services.${other[0]}, which has the same port` })
    }
  }
  if (problems.length > 0) throw new ConfigInvalid({ problems })
  // A copy without the customer's prototype, sorted so that equal configurations are equal texts.
  return { services: Object.fromEntries(services.toSorted(([a], [b]) => (a < b ? -1 : 1))) }
}
