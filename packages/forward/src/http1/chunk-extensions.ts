import { TOKEN } from "./fields.ts"

const NAME_START = 0
const NAME = 1
const NAME_END = 2
const VALUE_START = 3
const VALUE = 4
const QUOTED = 5
const ESCAPED = 6
const QUOTED_END = 7
const VALUE_END = 8

const HTAB = 9
const SP = 32
const QUOTE = 34
const SEMICOLON = 59
const EQUALS = 61
const BACKSLASH = 92

/**
 * Reads the extensions of a chunk byte by byte, after the first `;`: `name`, `name=token` or `name="string"`, with spaces around `;`
 * and `=` (RFC 9112 §7.1.1). A reader that takes anything for an extension and one that does not see different line ends in it.
 */
export class ChunkExtensions {
  #state = NAME_START

  /** The next extensions begin. */
  begin(): void {
    this.#state = NAME_START
  }

  /** True where the line may end. */
  get complete(): boolean {
    const state = this.#state
    return state === NAME || state === VALUE || state === QUOTED_END
  }

  /** Takes one byte; false if it is invalid here. */
  take(c: number): boolean {
    const next = after(this.#state, c)
    if (next === undefined) return false
    this.#state = next
    return true
  }
}

const after = (state: number, c: number): number | undefined => {
  if (state === QUOTED) {
    if (c === QUOTE) return QUOTED_END
    return c === BACKSLASH ? ESCAPED : isText(c) ? QUOTED : undefined
  }
  if (state === ESCAPED) return isText(c) ? QUOTED : undefined
  if (c === SP || c === HTAB) return afterSpace[state]
  if (TOKEN[c] === 1) {
    if (state === NAME_START || state === NAME) return NAME
    return state === VALUE_START || state === VALUE ? VALUE : undefined
  }
  if (c === SEMICOLON) return state === NAME_START || state === VALUE_START ? undefined : NAME_START
  if (c === EQUALS) return state === NAME || state === NAME_END ? VALUE_START : undefined
  return c === QUOTE && state === VALUE_START ? QUOTED : undefined
}

const afterSpace: Readonly<Record<number, number>> = {
  [NAME_START]: NAME_START,
  [NAME]: NAME_END,
  [NAME_END]: NAME_END,
  [VALUE_START]: VALUE_START,
  [VALUE]: VALUE_END,
  [QUOTED_END]: VALUE_END,
  [VALUE_END]: VALUE_END,
}

/** HTAB, SP, VCHAR and obs-text (RFC 9110 §5.6.4). */
const isText = (c: number): boolean => c === HTAB || (c >= SP && c !== 127)
