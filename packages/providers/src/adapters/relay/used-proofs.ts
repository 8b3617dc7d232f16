import type { VerifiedRelayProof } from "@project-ingress/forward/internal"
import type { RelayState } from "./runtime.ts"

const KEY = "used-proofs"
/** A machine connects a few times a minute at most, even if its network breaks all the time. */
const MAX_PROOFS = 256

/** Remembers the proofs of one machine until they end, so that each is good once. In storage: an object is stopped now and then. */
export class UsedProofs {
  readonly #storage: RelayState["storage"]

  constructor(storage: RelayState["storage"]) {
    this.#storage = storage
  }

  /** False for one that was used before, or while there are too many. */
  async use({ id, until }: VerifiedRelayProof): Promise<boolean> {
    const now = Date.now()
    const used = ((await this.#storage.get(KEY)) ?? {}) as Readonly<Record<string, number>>
    const valid = Object.entries(used).filter(([, until]) => until > now)
    if (valid.length >= MAX_PROOFS || valid.some(([other]) => other === id)) return false
    await this.#storage.put(KEY, Object.fromEntries([...valid, [id, until]]))
    return true
  }
}
