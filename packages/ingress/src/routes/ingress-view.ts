import type { DeclaredIngress } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"

/** What is declared now. A new object whenever any of it changed. */
export interface IngressView {
  /** Raised by each change. */
  readonly revision: number
  readonly ingresses: readonly DeclaredIngress[]
  readonly grants: readonly Grant[]
}
