import type { DeclaredIngress } from "../resource/ingress.ts"

/** The values of required headers, which no diff may show. */
export const secretsOf = (ingresses: readonly Pick<DeclaredIngress, "rules">[]): readonly string[] =>
  ingresses.flatMap(({ rules }) => rules.flatMap(({ requireHeader }) => requireHeader?.value ?? []))

/** A text in which secrets are replaced, as they are and as JSON has them. The longest first, as one may be part of another. */
export const withoutSecrets = (text: string, secrets: readonly string[]): string =>
  secrets
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)])
    .filter((secret) => secret !== "")
    .toSorted((a, b) => b.length - a.length)
    .reduce((all, secret) => all.replaceAll(secret, "[secret]"), text)
