/**
 * Hostnames for Effect users: a codec between a `Host` value and a target.
 *
 * @module
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { format } from "./format.ts"
import type { Grammar } from "./grammar.ts"
import { parse } from "./parse.ts"

const Port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 }))

/**
 * A target under the grammar's own domains: `ProjectTarget`, or `MachineTarget` with a `domain`. Checks the shape and
 * the range of the port; {@link TargetFromHostname} checks slug, id and domain against a grammar.
 */
export const TargetSchema = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("Target"),
    kind: Schema.Literal("project"),
    slug: Schema.String,
    port: Schema.optionalKey(Port),
    service: Schema.optionalKey(Schema.String),
    domain: Schema.String,
  }),
  Schema.Struct({
    _tag: Schema.Literal("Target"),
    kind: Schema.Literal("machine"),
    machine: Schema.String,
    port: Schema.optionalKey(Port),
    domain: Schema.String,
  }),
])

/**
 * A codec from a raw `Host` to a target and back. Decoding fails with a `SchemaError` on a foreign and on a malformed
 * host, encoding on a target that has no hostname, each with the reason as the issue's message. Encoding writes the
 * canonical form, so `opencode.misha.iterate.app` is encoded as `opencode--misha.iterate.app`.
 *
 * ```ts
 * const decode = Schema.decodeUnknownEffect(TargetFromHostname(grammar))
 * ```
 */
export const TargetFromHostname = (grammar: Grammar) =>
  Schema.String.pipe(
    Schema.decodeTo(
      TargetSchema,
      SchemaTransformation.transformEffect<typeof TargetSchema.Encoded, string>({
        decode: (host, options) => {
          const outcome = parse(grammar, host)
          if (outcome._tag === "HostnameForeign") {
            const message = `"${outcome.host}" is not a hostname under ${grammar.domains.join(", ")}.`
            return Effect.fail(new SchemaIssue.InvalidValue({ message }, host, options))
          }
          if (outcome._tag === "HostnameMalformed") {
            return Effect.fail(new SchemaIssue.InvalidValue({ message: outcome.reason }, host, options))
          }
          if (outcome.customDomain !== undefined) return Effect.die("parse returned a custom domain")
          return Effect.succeed(outcome)
        },
        encode: (target, options) => {
          const hostname = format(grammar, target)
          return typeof hostname === "string"
            ? Effect.succeed(hostname)
            : Effect.fail(new SchemaIssue.InvalidValue({ message: hostname.reason }, target, options))
        },
      }),
    ),
  )
