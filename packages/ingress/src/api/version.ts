import { RequestProblem } from "./request-problem.ts"

/**
 * The version that a request expects, from its `If-Match`. `undefined`: any. Compared strongly (RFC 9110 §13.1.1), so that a weak tag, and
 * one that is not ours, matches none.
 *
 * @throws {RequestProblem} 412 for a tag that no version has, 400 for what is no entity tag, and for a list of several
 */
export const ifVersionOf = (field: string | null): number | undefined => {
  if (field === null || field.trim() === "*") return undefined
  const tag = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/.exec(field.trim())
  if (tag === null) throw new RequestProblem("bad_request", 'If-Match must be "<version>" or *', "if-match")
  const [, weak, text = ""] = tag
  if (weak === undefined && /^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new RequestProblem("version_conflict", "the version is not the one of If-Match")
}
