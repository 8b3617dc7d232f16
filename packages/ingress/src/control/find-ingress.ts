import { AmbiguousReference, NotFound } from "../resource/errors.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import type { IngressTable } from "./ingress-table.ts"

/**
 * An ingress by its id, its name, or the beginning of an id that no other shares. With an owner those of others are not there.
 *
 * @throws {NotFound | AmbiguousReference}
 */
export const findIngress = (
  { byId, named }: IngressTable,
  reference: string,
  owner: string | undefined,
): DeclaredIngress => {
  const isVisible = (ingress: DeclaredIngress): boolean => owner === undefined || ingress.owner === owner
  const exact = [byId.get(reference), named(reference)].find((found) => found !== undefined && isVisible(found))
  if (exact !== undefined) return exact
  const matches: string[] = []
  if (reference !== "") {
    for (const ingress of byId.values()) {
      if (ingress.id.startsWith(reference) && isVisible(ingress)) matches.push(ingress.id)
    }
  }
  if (matches.length === 0) throw new NotFound({ kind: "ingress", reference: reference.slice(0, 256) })
  if (matches.length === 1) return byId.get(matches[0]!)!
  throw new AmbiguousReference({ reference, matches: matches.toSorted().slice(0, 10) })
}
