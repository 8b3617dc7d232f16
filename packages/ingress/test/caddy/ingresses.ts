import { decodeIngress } from "../../src/resource/decode-ingress.ts"
import type { ExportInput } from "../../src/fronts/front.ts"
import type { DeclaredIngress, IngressRule } from "../../src/resource/ingress.ts"

/** An ingress as it is stored. */
export const ingress = async (
  name: string,
  rules: readonly IngressRule[],
  { createdAt = 1_000, owner }: { readonly createdAt?: number; readonly owner?: string } = {},
): Promise<DeclaredIngress> => ({
  ...(await decodeIngress({ name, rules })),
  id: name,
  ...(owner === undefined ? {} : { owner }),
  version: 1,
  createdAt,
  updatedAt: createdAt,
})

/** What an exporter reads. Machines have the addresses given by their id. */
export const inputOf = (
  ingresses: readonly DeclaredIngress[],
  addresses: Readonly<Record<string, string>> = {},
): ExportInput => ({
  ingresses,
  address: (target) => addresses[target.kind === "machine" ? target.machine : target.project],
  internalZone: "machines.internal",
})
