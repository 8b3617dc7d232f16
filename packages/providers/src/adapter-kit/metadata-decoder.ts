import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { MachineRecordInvalid, machineRef } from "../contract/errors.ts"
import type { Machine } from "../contract/machine-provider.ts"

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/**
 * A decoder of a machine's metadata. `accepted` says for each field what it must be: `"north" or "south"`. Values are never
 * repeated in errors, because they may be secrets.
 *
 * The decoder throws `MachineRecordInvalid` with the name of the first wrong field.
 */
export const metadataDecoder = <A>(
  schema: Schema.Decoder<A>,
  accepted: Readonly<Record<keyof NoInfer<A> & string, string>>,
): ((machine: Machine) => A) => {
  const decode = Schema.decodeUnknownResult(schema)
  const sentences: Readonly<Record<string, string | undefined>> = accepted
  return (machine) => {
    const decoded = decode(machine.metadata)
    if (Result.isSuccess(decoded)) return decoded.success
    const field = fieldOf(decoded.failure.issue)
    throw new MachineRecordInvalid({ ...machineRef(machine), field, accepted: sentences[field] ?? "an object" })
  }
}

const fieldOf = (issue: SchemaIssue.Issue): string => {
  const first = issuesOf(issue).issues[0]?.path?.[0]
  return typeof first === "string" ? first : "metadata"
}
