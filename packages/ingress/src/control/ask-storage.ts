import { within } from "@project-ingress/router/internal"

/** The storage fails, or takes too long. What was being written may be there nevertheless: read, then try again. Not one of the errors of a document. */
export class StorageUnavailable extends Error {
  readonly _tag = "StorageUnavailable"
  override readonly name = "StorageUnavailable"
  /** `cause`: what the storage failed with, for logs, never for a client. */
  constructor(fields: { readonly cause: unknown }) {
    super("the storage cannot be used now", { cause: fields.cause })
  }
}

/** What a storage means to say; everything else is a failure of it. By tag: a package may be there twice, and then its classes are. */
const VERDICTS: ReadonlySet<unknown> = new Set(["RevisionConflict", "DocumentRefused"])

/**
 * One call of a storage.
 *
 * @throws {StorageUnavailable | RevisionConflict | DocumentRefused} (rejects)
 */
export const askStorage = async <A>(timeoutMs: number, call: () => A | Promise<A>): Promise<A> => {
  try {
    return await within(timeoutMs, async () => call())
  } catch (cause) {
    const tag = (cause as { readonly _tag?: unknown } | null | undefined)?._tag
    throw VERDICTS.has(tag) ? cause : new StorageUnavailable({ cause })
  }
}
