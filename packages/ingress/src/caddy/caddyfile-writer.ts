/** Lines of a Caddyfile. Every value goes through {@link token}. */
export class CaddyfileWriter {
  #lines: string[] = []
  #depth = 0

  line(...tokens: readonly string[]): this {
    this.#lines.push(`${"\t".repeat(this.#depth)}${tokens.join(" ")}`)
    return this
  }

  /** A block with nothing in it is a line. */
  block(tokens: readonly string[], inside: () => void): this {
    const start = this.line(...tokens, "{").#lines.length
    this.#depth += 1
    inside()
    this.#depth -= 1
    if (this.#lines.length > start) return this.line("}")
    this.#lines.pop()
    return this.line(...tokens)
  }

  get text(): string {
    return this.#lines.length === 0 ? "" : `${this.#lines.join("\n")}\n`
  }
}

/**
 * A value as one token. `undefined`: a Caddyfile cannot write it. Braces cannot be written: `{$X}` is replaced in the bytes of the file, before
 * quotes are read, and `{host}` in every token. Between double quotes only `\"` is an escape, so that a backslash needs backquotes, and
 * those have none.
 */
export const token = (value: string): string | undefined => {
  if (/[{}\p{Cc}]/u.test(value)) return undefined
  return quoted(value)
}

/** A token that the exporter itself wrote placeholders into. */
export const placeholderToken = (value: string): string => quoted(value)!

const quoted = (value: string): string | undefined => {
  if (/^[\w./:*%{-][\w./:*%?&=,+~@{}-]*$/.test(value)) return value
  if (!value.includes("`")) return `\`${value}\``
  return value.includes("\\") ? undefined : `"${value.replaceAll('"', '\\"')}"`
}
