import { decodeIngress } from "../src/resource/decode-ingress.ts"
import type { DeclaredIngress, Ingress } from "../src/resource/ingress.ts"

/** A document as it would be stored. `at` orders ingresses by age. */
export const declared = async (
  document: Ingress,
  { owner, at = 0, version = 1 }: { readonly owner?: string; readonly at?: number; readonly version?: number } = {},
): Promise<DeclaredIngress> => ({
  id: `i${document.name}`,
  ...(await decodeIngress(document)),
  version,
  createdAt: at,
  updatedAt: at,
  ...(owner === undefined ? {} : { owner }),
})
