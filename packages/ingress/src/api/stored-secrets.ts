import type { DeclaredIngress } from "../resource/ingress.ts"

/**
 * A document with the values of `requireHeader` that its sender could not know: a field of the same name and hash as a stored one, and
 * without a value, is that one. Reads what is stored only if there is such a field.
 */
export const withStoredSecrets = async (
  document: unknown,
  read: () => Promise<Pick<DeclaredIngress, "rules">>,
): Promise<unknown> => {
  const rules: unknown = isRecord(document) ? document["rules"] : undefined
  if (!Array.isArray(rules) || !rules.some((rule) => headerWithoutValue(rule))) return document
  const stored = (await read()).rules.flatMap(({ requireHeader }) => requireHeader ?? [])
  const completed = rules.map((rule: unknown) => {
    const header = headerWithoutValue(rule)
    const same = header && stored.find(({ name, sha256 }) => name === header["name"] && sha256 === header["sha256"])
    if (same?.value === undefined) return rule
    return Object.assign({}, rule, { requireHeader: { ...header, value: same.value } })
  })
  return { ...(document as object), rules: completed }
}

const headerWithoutValue = (rule: unknown): Readonly<Record<string, unknown>> | undefined => {
  const header = isRecord(rule) ? rule["requireHeader"] : undefined
  return isRecord(header) && header["value"] === undefined ? header : undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
