import { addressChecker } from "@project-ingress/forward/internal"

/** Requests after which it is decided again. */
const WINDOW = 128

/**
 * Finds out whether most requests come from one address that is private or unknown: then that is a load balancer which
 * `trustedProxies` does not name, and every client seems to be the same one. Most: more than half of 128 requests in a row, of an address that had the majority of
 * the 128 before them (Boyer and Moore's vote), so after 256 requests at the latest.
 */
export class UnnamedBalancer {
  /** The balancer's address, while there is one. */
  address: string | undefined
  readonly #onChange: (address: string | undefined) => void
  readonly #notPublic = addressChecker({})
  #seen = 0
  /** Who may have the majority of this window, and who is looked at because of the last one. */
  #candidate = ""
  #votes = 0
  #suspect: string | undefined
  #hits = 0

  constructor(onChange: (address: string | undefined) => void) {
    this.#onChange = onChange
  }

  /** Counts a request. */
  see(address: string): void {
    if (address === this.#candidate) this.#votes++
    else if (this.#votes > 0) this.#votes--
    else {
      this.#candidate = address
      this.#votes = 1
    }
    if (address === this.#suspect) this.#hits++
    if (++this.#seen < WINDOW) return
    const found = this.#hits > WINDOW / 2 ? this.#suspect : undefined
    this.#suspect = this.#votes > 0 && this.#notPublic(this.#candidate) !== undefined ? this.#candidate : undefined
    this.#seen = this.#hits = this.#votes = 0
    if (found === this.address) return
    this.address = found
    this.#onChange(found)
  }
}
