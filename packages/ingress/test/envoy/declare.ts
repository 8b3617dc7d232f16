import { clusterNames } from "../../src/envoy/cluster-names.ts"
import { decodeIngress } from "../../src/ingress.ts"
import type { DeclaredIngress, ExportInput } from "../../src/ingress.ts"

/** Ingresses in their normal form, each made a second after the one before it. */
export const declare = async (
  ...documents: readonly { readonly name?: string; readonly rules: readonly unknown[] }[]
): Promise<readonly DeclaredIngress[]> =>
  Promise.all(
    documents.map(async (document, at) => {
      const { name, rules } = await decodeIngress({ name: `app-${at}`, ...document })
      return { id: `id${at}`, name, version: 1, createdAt: at * 1_000, updatedAt: at * 1_000, rules }
    }),
  )

/** Machines are dialled at addresses that their numbers say; `mach_gone` has none. */
export const address: ExportInput["address"] = (target) => {
  const id = target.kind === "machine" ? target.machine : target.project
  return id.endsWith("gone") ? undefined : `10.0.0.${/\d+$/.exec(id)?.[0] ?? "1"}`
}

export const to = (id: number, port = 8080) => ({ machine: `mach_${id}`, port })

/** A text in which each cluster has the name of its ingress and the place of its rule: `app-0_1`. */
export const readable = (text: string, ingresses: readonly DeclaredIngress[]): string =>
  ingresses.reduce(
    (all, ingress) =>
      clusterNames(ingress).reduceRight((some, name, at) => some.replaceAll(name, `${ingress.name}_${at}`), all),
    text,
  )
