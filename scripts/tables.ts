/** A table of Markdown, as the formatter leaves it. */
export const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}

/**
 * A page with another table between `<!-- mark: … -->` and `<!-- /mark -->`.
 *
 * @throws {Error} if the page has no such marks
 */
export const withTable = (page: string, mark: string, table: string): string => {
  const marked = new RegExp(`(<!-- ${mark}: .*?-->\\n\\n).*?(\\n\\n<!-- /${mark} -->)`, "s")
  if (!marked.test(page)) throw new Error(`no place for the table ${mark}`)
  return page.replace(marked, (_, before: string, after: string) => before + table + after)
}
