import type { DeclaredIngress } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"

/** What is declared at one revision. Another object whenever something has changed. */
export interface IngressView {
  readonly revision: number
  readonly ingresses: readonly DeclaredIngress[]
  readonly grants: readonly Grant[]
}
