import type { HostnamePattern } from "./ingress.ts"

/** Why a text is no pattern of hostnames: a noun phrase of what is accepted. */
export interface PatternProblem {
  readonly accepted: string
}

const NAME = /^[a-z](?:[a-z\d_-]{0,61}[a-z\d])?$/
const LABEL = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/

/** A hostname of 253 characters, in which four labels are captures with names of 63. */
const MAX_TEXT = 512

/** The labels from the left that may be `*`: look-ups for wildcards that one hostname may cause, as in the router's grammar. */
export const MAX_WILDCARDS = 4

/**
 * Reads a hostname or a pattern. A capture is a whole label, and has a name of its own in the pattern; the last label is a
 * literal that begins with a letter, so that nothing here can be read as an IPv4 address. At most 253 characters.
 */
export const readPattern = (given: string): HostnamePattern | PatternProblem => {
  // First: whatever is compared below is compared with each other.
  if (given.length > MAX_TEXT) return { accepted: "a hostname of at most 253 characters" }
  const text = given.toLowerCase().replace(/\.$/, "")
  const labels = text.split(".")
  const captures: { name: string; label: number }[] = []
  const wildcard: string[] = []
  for (const [label, part] of labels.entries()) {
    const capture = /^\{(.*)\}$/.exec(part)?.[1]
    if (capture !== undefined) {
      if (!NAME.test(capture)) return { accepted: "a capture {name} of lower-case letters, digits, - and _" }
      if (captures.some(({ name }) => name === capture)) return { accepted: "a pattern without duplicate captures" }
      captures.push({ name: capture, label })
    } else if (/[{}]/.test(part)) return { accepted: "a pattern whose captures are whole labels, not mixed captures" }
    else if (part !== "*" && !LABEL.test(part)) return { accepted: "a hostname or a pattern of whole labels" }
    wildcard.push(capture === undefined ? part : "*")
  }
  const last = wildcard.at(-1)!
  if (last === "*" || !/^[a-z]/.test(last)) return { accepted: "a hostname whose last label begins with a letter" }
  if (wildcard.lastIndexOf("*") >= MAX_WILDCARDS) {
    return { accepted: `a pattern whose last * or capture is among the first ${MAX_WILDCARDS} labels` }
  }
  if (wildcard.join(".").length > 253) return { accepted: "a hostname of at most 253 characters" }
  return { text, wildcard: wildcard.join("."), captures }
}

/** Whether it takes more than one hostname. */
export const isWildcard = ({ wildcard }: HostnamePattern): boolean => wildcard.split(".").includes("*")

/** The values of the captures if a hostname in lower case matches, else `undefined`. Each `*` is one label. */
export const matchHostname = (
  { wildcard, captures }: HostnamePattern,
  hostname: string,
): Readonly<Record<string, string>> | undefined => {
  const wanted = wildcard.split(".")
  const labels = hostname.split(".")
  if (wanted.length !== labels.length) return undefined
  if (!wanted.every((part, at) => part === "*" || part === labels[at])) return undefined
  return Object.fromEntries(captures.map(({ name, label }) => [name, labels[label]!]))
}
