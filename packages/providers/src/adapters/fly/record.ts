import * as Schema from "effect/Schema"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"
import { A_PUBLIC_KEY_PIN, PublicKeyPin } from "../../adapter-kit/public-key-pin.ts"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { Machine } from "../../contract/machine-provider.ts"

// An app's and a machine's names are DNS labels, which also keeps them from changing a path or a host.
const decodeMetadata = metadataDecoder(
  Schema.Struct({
    app: Schema.String.check(Schema.isPattern(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)),
    network: Schema.optionalKey(Schema.Literals(["public", "6pn", "flycast"])),
    domain: Schema.optionalKey(
      Schema.String.check(
        Schema.isPattern(/^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/i),
      ),
    ),
    port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))),
    pin: Schema.optionalKey(PublicKeyPin),
  }),
  {
    app: "the name of a Fly app",
    network: `"public", "6pn" or "flycast"`,
    domain: "a hostname",
    port: "an integer from 1 to 65535",
    pin: A_PUBLIC_KEY_PIN,
  },
)

/** The metadata of a machine's record. Throws `MachineRecordInvalid` for a wrong field, the id too. */
export const decodeRecord = (machine: Machine): ReturnType<typeof decodeMetadata> => {
  const metadata = decodeMetadata(machine)
  if (!/^[A-Za-z0-9]{1,63}$/.test(machine.externalId)) {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "the id of a Fly machine" })
  }
  if (metadata.domain !== undefined && (metadata.network ?? "public") !== "public") {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "domain", accepted: "absent on a private network" })
  }
  if (metadata.pin !== undefined && metadata.network !== "6pn") {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "pin", accepted: `absent unless network is "6pn"` })
  }
  return metadata
}
