/** A record of a zone's text. */
export interface ZoneEntry {
  /** The full name in lower case, without the final dot. */
  readonly owner: string
  /** In upper case. */
  readonly type: string
  /** In s, where it is written in seconds. */
  readonly ttl: number | undefined
  readonly data: readonly ZoneToken[]
  /** From 1. */
  readonly line: number
}

/** A part of a line: where it stands in the text, and what it says. */
export interface ZoneToken {
  readonly text: string
  readonly start: number
  readonly end: number
  readonly quoted: boolean
}

interface Line {
  readonly tokens: ZoneToken[]
  /** A line that begins with a space has the owner of the record before it. */
  readonly isIndented: boolean
  readonly line: number
}

/**
 * The records of a master file (RFC 1035 §5), for finding the serial and the names that are there. The server's own checker decides
 * whether it is valid. What `$INCLUDE` and `$GENERATE` bring is not seen.
 *
 * @returns `undefined` for a text that ends within parentheses or quotes
 */
export const readZone = (text: string, zone: string): readonly ZoneEntry[] | undefined => {
  const lines = readLines(text)
  if (lines === undefined) return undefined
  const entries: ZoneEntry[] = []
  let origin = zone
  let last = zone
  for (const { tokens, isIndented, line } of lines) {
    const [first] = tokens
    if (first === undefined) continue
    if (!isIndented && first.text.startsWith("$")) {
      if (/^\$origin$/i.test(first.text) && tokens[1] !== undefined) origin = absolute(tokens[1].text, origin)
      continue
    }
    if (!isIndented) last = absolute(first.text, origin)
    let at = isIndented ? 0 : 1
    let ttl: number | undefined
    // A TTL and a class, in either order.
    for (; at < tokens.length && /^(?:\d[\dsmhdw]*|in|ch|hs|cs)$/i.test(tokens[at]!.text); at++) {
      if (/^\d+$/.test(tokens[at]!.text)) ttl = Number(tokens[at]!.text)
    }
    const type = tokens[at]?.text.toUpperCase() ?? ""
    entries.push({ owner: last, type, ttl, data: tokens.slice(at + 1), line })
  }
  return entries
}

const absolute = (name: string, origin: string): string => {
  const lower = name.toLowerCase()
  if (lower === "@") return origin
  if (lower.endsWith(".")) return lower.slice(0, -1)
  return origin === "" ? lower : `${lower}.${origin}`
}

const readLines = (text: string): readonly Line[] | undefined => {
  const lines: Line[] = []
  let current: Line | undefined
  let depth = 0
  let number = 1
  const end = (): void => {
    if (current !== undefined) lines.push(current)
    current = undefined
  }
  for (let at = 0; at < text.length;) {
    const character = text[at]!
    current ??= { tokens: [], isIndented: /[ \t]/.test(character), line: number }
    if (character === "\n") {
      if (depth === 0) end()
      number++
      at++
    } else if (character === ";") {
      while (at < text.length && text[at] !== "\n") at++
    } else if (character === "(" || character === ")") {
      depth += character === "(" ? 1 : -1
      if (depth < 0) return undefined
      at++
    } else if (/\s/.test(character)) {
      at++
    } else {
      const token = character === '"' ? QUOTED : BARE
      token.lastIndex = at
      const found = token.exec(text)?.[0]
      if (found === undefined) return undefined
      current.tokens.push({ text: found, start: at, end: at + found.length, quoted: character === '"' })
      number += found.split("\n").length - 1
      at += found.length
    }
  }
  end()
  return depth === 0 ? lines : undefined
}

const QUOTED = /"(?:[^"\\]|\\[^])*"/y
const BARE = /(?:[^\s;()"\\]|\\[^])+/y
