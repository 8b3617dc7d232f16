const MAX_KNOWN = 1_024

/** A pure function of a text that remembers what it gave, for up to 1 024 texts: the same few are asked for again and again. */
export const remembered = <A>(read: (text: string) => A): ((text: string) => A) => {
  const known = new Map<string, A>()
  return (text) => {
    const value = known.get(text)
    if (value !== undefined || known.has(text)) return value as A
    const fresh = read(text)
    if (known.size >= MAX_KNOWN) known.clear()
    known.set(text, fresh)
    return fresh
  }
}
