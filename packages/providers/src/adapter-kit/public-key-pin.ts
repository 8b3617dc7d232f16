import * as Schema from "effect/Schema"
import { isPublicKeyPin } from "@project-ingress/forward/internal"

export { A_PUBLIC_KEY_PIN } from "@project-ingress/forward/internal"

/** `pin` in the metadata of a machine whose proxy speaks TLS itself. */
export const PublicKeyPin = Schema.String.check(Schema.makeFilter(isPublicKeyPin))
