/** The status of an ingress, in Gateway API's words and one of ours. */
export interface IngressStatus {
  readonly id: string
  readonly name: string
  /** The conditions at the router, then at each front. */
  readonly parents: readonly ParentStatus[]
}

/** What became of an ingress at the router or at a front. */
export interface ParentStatus {
  /** `router`, `caddy` */
  readonly parent: string
  readonly conditions: readonly Condition[]
}

/**
 * - `Accepted`: it can be carried out there. Reasons `Accepted`, `UnsupportedValue`, `HostnameConflict`, `NotAllowed`.
 * - `ResolvedRefs`: every target exists, and may be used. Reasons `ResolvedRefs`, `BackendNotFound`, `RefNotPermitted`.
 * - `Programmed`: it is what the front runs. Reasons `Programmed`, `Pending`, `Invalid`.
 * - `Served`: a look-up of each hostname leads there now; with the layer that knows it, and its age. Of the router alone.
 */
export interface Condition {
  readonly type: "Accepted" | "ResolvedRefs" | "Programmed" | "Served"
  readonly status: "True" | "False" | "Unknown"
  readonly reason: string
  /** For people. Names rule and field. */
  readonly message: string
  /** The version of the ingress that this is about. */
  readonly observedGeneration: number
  /** Of `Served`. */
  readonly layer?: string
  readonly ageMs?: number
}
