import fc from "fast-check"
import { decodeIngress } from "../../src/resource/decode-ingress.ts"
import type { DeclaredIngress } from "../../src/resource/ingress.ts"

/** Visible ASCII with what formats give a meaning, more often than chance would. */
export const hostile = (min: number, max: number) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "{",
          "}",
          "\\",
          '"',
          "`",
          "$",
          "*",
          "{env.HOME}",
          "{$HOME}",
          "{http.request.host}",
          "{{",
          "#",
          "'",
          "%",
          "\\{",
          "<<",
        ),
        fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      ),
      { minLength: min, maxLength: max },
    )
    .map((parts) => parts.join(""))

/** A rule of which one part is refused says nothing about the others. */
export const mostly = <A, B>(valid: fc.Arbitrary<A>, other: fc.Arbitrary<B>): fc.Arbitrary<A | B> =>
  fc.oneof({ arbitrary: valid, weight: 9 }, { arbitrary: other, weight: 1 })

export const decoded = async (
  document: { readonly name: string; readonly rules: readonly unknown[] },
  createdAt = 1,
) => {
  const rules: DeclaredIngress["rules"][number][] = []
  // What the format itself refuses is no exporter's work.
  for (const rule of document.rules) {
    const one = await decodeIngress({ name: document.name, rules: [rule] }).catch(() => undefined)
    if (one !== undefined) rules.push(one.rules[0]!)
  }
  return { id: document.name, name: document.name, version: 1, createdAt, updatedAt: createdAt, rules }
}
