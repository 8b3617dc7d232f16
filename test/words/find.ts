import ts from "typescript"
import { retired, type Retired } from "./retired.ts"

export interface Found {
  readonly file: string
  readonly line: number
  /** The words as they stand there; for a name the whole name. */
  readonly words: string
  readonly write: string
}

/** The retired words of one file: of its names, comments and strings if it is TypeScript, else of its text and code samples. */
export const findRetired = (file: string, text: string): Found[] => {
  const pieces = file.endsWith(".ts") ? ofSource(text, 1) : ofPage(text)
  const found = pieces.flatMap((piece) => retired.flatMap((each) => inPiece(file, piece, each)))
  return found.toSorted((a, b) => a.line - b.line)
}

interface Piece {
  readonly line: number
  readonly text: string
  readonly isName: boolean
}

const inPiece = (file: string, { line, text, isName }: Piece, each: Retired): Found[] => {
  const pattern = isName ? (each.name ?? each.text) : each.text
  if (pattern === undefined || each.files?.some(([path]) => file.startsWith(path))) return []
  const allowed = (each.except ?? []).reduce((rest, [words]) => rest.replace(words, blank), text)
  const searched = isName ? spaced(allowed) : allowed
  return [...searched.matchAll(pattern)].slice(0, isName ? 1 : undefined).map(([words]) => ({
    file,
    line,
    words: isName ? text : words.trim(),
    write: each.write,
  }))
}

const blank = (words: string) => " ".repeat(words.length)

/** `signAnswerOf` and `SIGN_ANSWER` as words: "sign answer of". */
const spaced = (name: string) => name.replaceAll(/(?<=[a-z\d])(?=[A-Z])|_/g, " ").toLowerCase()

/** A page: its code samples and `code` as source, the rest line by line. */
const ofPage = (page: string): Piece[] => {
  let fence: string | undefined
  return page.split("\n").flatMap((text, at) => {
    const line = at + 1
    const mark = /^\s*```(\w*)/.exec(text)
    if (mark) {
      fence = fence === undefined ? mark[1] : undefined
      return []
    }
    if (fence !== undefined && /^(ts|js|typescript|javascript)$/.test(fence)) return ofSource(text, line)
    const code = [...text.matchAll(/`([^`]+)`/g)].flatMap((match) => ofSource(match[1] ?? "", line))
    return code.concat({ line, text: text.replaceAll(/`[^`]+`/g, blank), isName: false })
  })
}

const isText = (kind: ts.SyntaxKind) =>
  (kind >= ts.SyntaxKind.SingleLineCommentTrivia && kind <= ts.SyntaxKind.MultiLineCommentTrivia) ||
  kind === ts.SyntaxKind.StringLiteral ||
  kind === ts.SyntaxKind.NoSubstitutionTemplateLiteral ||
  (kind >= ts.SyntaxKind.TemplateHead && kind <= ts.SyntaxKind.TemplateTail)

/** The names of a source, and its comments and strings line by line. */
const ofSource = (source: string, firstLine: number): Piece[] => {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, false, ts.LanguageVariant.Standard, source)
  const pieces: Piece[] = []
  const templates: number[] = []
  let before: ts.SyntaxKind = ts.SyntaxKind.Unknown
  let line = firstLine
  for (;;) {
    let kind = scanner.scan()
    if (kind === ts.SyntaxKind.EndOfFileToken) return pieces
    if (kind === ts.SyntaxKind.SlashToken && !endsValue(before)) kind = scanner.reScanSlashToken()
    // The scanner does not know by itself that a `}` goes on with a template.
    if (kind === ts.SyntaxKind.TemplateHead) templates.push(0)
    else if (templates.length > 0 && kind === ts.SyntaxKind.OpenBraceToken) templates[templates.length - 1]! += 1
    else if (templates.length > 0 && kind === ts.SyntaxKind.CloseBraceToken) {
      if (templates.at(-1) === 0) {
        kind = scanner.reScanTemplateToken(false)
        if (kind === ts.SyntaxKind.TemplateTail) templates.pop()
      } else templates[templates.length - 1]! -= 1
    }
    const text = scanner.getTokenText()
    if (isText(kind)) {
      text.split("\n").forEach((each, at) => pieces.push({ line: line + at, text: each, isName: false }))
    } else if (kind === ts.SyntaxKind.Identifier || kind === ts.SyntaxKind.PrivateIdentifier) {
      pieces.push({ line, text, isName: true })
    }
    line += text.split("\n").length - 1
    if (!isTrivia(kind)) before = kind
  }
}

const isTrivia = (kind: ts.SyntaxKind) =>
  kind >= ts.SyntaxKind.FirstTriviaToken && kind <= ts.SyntaxKind.LastTriviaToken

/** Whether a slash after this token divides; else it begins a regular expression. */
const endsValue = (kind: ts.SyntaxKind) =>
  kind === ts.SyntaxKind.Identifier ||
  kind === ts.SyntaxKind.CloseParenToken ||
  kind === ts.SyntaxKind.CloseBracketToken ||
  kind === ts.SyntaxKind.NumericLiteral ||
  kind === ts.SyntaxKind.StringLiteral ||
  kind === ts.SyntaxKind.NoSubstitutionTemplateLiteral ||
  kind === ts.SyntaxKind.TemplateTail
