/** Matchers and how many values each takes. */
const MATCHERS = {
  http: {
    ClientIP: [1, 1],
    Header: [2, 2],
    HeaderRegexp: [2, 2],
    Host: [1, 1],
    HostRegexp: [1, 1],
    Method: [1, 1],
    Path: [1, 1],
    PathPrefix: [1, 1],
    PathRegexp: [1, 1],
    Query: [1, 2],
    QueryRegexp: [1, 2],
  },
  tcp: { ALPN: [1, 1], ClientIP: [1, 1], HostSNI: [1, 1], HostSNIRegexp: [1, 1] },
} as const satisfies Record<string, Record<string, readonly [number, number]>>

type Token = { readonly kind: "name" | "value" | "sign"; readonly text: string }

const TOKEN = /\s*(?:(?<name>[A-Za-z]+)|`(?<raw>[^`]*)`|"(?<text>(?:[^"\\]|\\.)*)"|(?<sign>&&|\|\||[!(),]))/uy

/** Why a rule's text is not one of version 3; `undefined`: it is. */
export const ruleProblem = (text: string, protocol: "http" | "tcp"): string | undefined => {
  const tokens = tokensOf(text)
  if (tokens === undefined) return "is not a rule: it holds what no rule has"
  const reader = { tokens, at: 0, problem: undefined as string | undefined }
  readAlternatives(reader, protocol, 0)
  if (reader.problem === undefined && reader.at < tokens.length) return "is not a rule: it goes on after its end"
  return reader.problem
}

interface Reader {
  readonly tokens: readonly Token[]
  at: number
  problem: string | undefined
}

const tokensOf = (text: string): readonly Token[] | undefined => {
  const tokens: Token[] = []
  const trimmed = text.trimEnd()
  let at = 0
  while (at < trimmed.length) {
    TOKEN.lastIndex = at
    const groups = TOKEN.exec(trimmed)?.groups
    if (groups === undefined) return undefined
    at = TOKEN.lastIndex
    if (groups["name"] !== undefined) tokens.push({ kind: "name", text: groups["name"] })
    else if (groups["sign"] !== undefined) tokens.push({ kind: "sign", text: groups["sign"] })
    else tokens.push({ kind: "value", text: groups["raw"] ?? groups["text"]! })
  }
  return tokens
}

const readAlternatives = (reader: Reader, protocol: "http" | "tcp", depth: number): void => {
  do readTerm(reader, protocol, depth)
  while (reader.problem === undefined && (takes(reader, "&&") || takes(reader, "||")))
}

const readTerm = (reader: Reader, protocol: "http" | "tcp", depth: number): void => {
  while (takes(reader, "!"));
  if (takes(reader, "(")) {
    if (depth > 100) reader.problem = "is not a rule: its parentheses are too deep"
    else readAlternatives(reader, protocol, depth + 1)
    if (reader.problem === undefined && !takes(reader, ")")) reader.problem = "is not a rule: a parenthesis is missing"
    return
  }
  const token = reader.tokens[reader.at]
  if (token?.kind !== "name") {
    reader.problem = "is not a rule: a matcher is missing"
    return
  }
  reader.at += 1
  const matchers: Readonly<Record<string, readonly [number, number]>> = MATCHERS[protocol]
  const counts = Object.hasOwn(matchers, token.text) ? matchers[token.text] : undefined
  if (counts === undefined) {
    reader.problem = `has the matcher ${token.text}, which rules of ${protocol} do not have`
    return
  }
  const count = readValues(reader)
  if (count === undefined) reader.problem = `has no values of the matcher ${token.text}`
  else if (count < counts[0] || count > counts[1]) reader.problem = `has ${count} values of the matcher ${token.text}`
}

const readValues = (reader: Reader): number | undefined => {
  if (!takes(reader, "(")) return undefined
  let count = 0
  do {
    if (reader.tokens[reader.at]?.kind !== "value") return undefined
    reader.at += 1
    count += 1
  } while (takes(reader, ","))
  return takes(reader, ")") ? count : undefined
}

const takes = (reader: Reader, sign: string): boolean => {
  const token = reader.tokens[reader.at]
  if (token?.kind !== "sign" || token.text !== sign) return false
  reader.at += 1
  return true
}
