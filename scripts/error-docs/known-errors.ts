import { knownRows } from "./rows.ts"

const list = (texts: Iterable<string>): string =>
  [...new Set(texts)]
    .toSorted()
    .map((text) => `  ${JSON.stringify(text)},\n`)
    .join("")

/** The module with every code and tag of the packages, which are values of labels: those of machine proxies among them. */
export const knownErrors = (): string => `// Written by \`pnpm errors\`.

/** The stable codes of all responses that the packages generate. */
export const knownCodes: readonly string[] = [
${list(knownRows.map(({ row }) => row.code))}]

/** The tags of all failures that have a row. */
export const knownTags: readonly string[] = [
${list(knownRows.map(({ tag }) => tag))}]
`
