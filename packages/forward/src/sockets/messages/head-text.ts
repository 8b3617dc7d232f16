import type { HeaderList } from "../../header-list.ts"
import { fieldsProblem, INVALID_IN_VALUE, isToken } from "../../field-syntax.ts"
import type { RequestMessageHead } from "../contract/message.ts"

/** How the body of a request is written: by its length in bytes, in chunks, or there is none. */
export type MessageFraming = number | "chunked" | "none"

/** A head as text of HTTP/1.1; `upgrade`: what follows may be bytes of a tunnel. */
export interface HeadText {
  readonly text: string
  readonly framing: MessageFraming
  readonly upgrade: boolean
}

/** Why a head cannot be written, and those of its fields that can. */
export interface HeadProblem {
  readonly problem: string
  readonly fields: HeaderList
}

const NONE: HeaderList = []
/** What would end a method or a target, or the line that they stand in. */
const ENDS_PART = /[^\x21-\x7e]/

/**
 * Writes a head for the engine's parser. Here it is only made sure that each part stays the part that it is: all other rules are
 * the parser's, which reads the text like any client's.
 */
export const headText = ({
  method,
  target,
  authority,
  headers,
  ended,
  problem: found,
  version = 11,
}: RequestMessageHead): HeadText | HeadProblem => {
  const wrong = fieldsProblem(headers)
  if (wrong !== undefined) return { problem: wrong, fields: NONE }
  const problem = (reason: string): HeadProblem => ({ problem: reason, fields: headers })
  if (found !== undefined) return problem(found)
  if (!isToken(method)) return problem("the method is not a token")
  if (target === "" || ENDS_PART.test(target)) return problem("the request target is not valid")
  if (authority !== undefined && INVALID_IN_VALUE.test(authority)) return problem("the authority is not valid")

  const lines = [`${method} ${target} HTTP/1.${version === 11 ? 1 : 0}`]
  if (authority !== undefined) lines.push("Host: " + authority)
  let coded = false
  let upgrade = false
  let length: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    switch (name.length) {
      case 4:
        if (authority === undefined || name.toLowerCase() !== "host") break
        // RFC 9113 §8.3.1: one request, one authority. Of two, some would decide by the other one.
        if (value.toLowerCase() !== authority.toLowerCase()) return problem("Host differs from the authority")
        continue
      case 7:
        if (name.toLowerCase() === "upgrade") upgrade = ended
        break
      case 14:
        if (name.toLowerCase() !== "content-length") break
        // Twice the same is twice, too: the parser refuses it.
        length ??= value
        break
      case 17:
        if (name.toLowerCase() === "transfer-encoding") coded = true
        break
    }
    lines.push(name + ": " + value)
  }
  let framing: MessageFraming = "none"
  if (coded) framing = "chunked"
  else if (length !== undefined) {
    // The parser refuses what is no length; a wrong one here would let the body's rest be read as a request.
    framing = /^\d{1,16}$/.test(length) ? Number(length) : 0
    if (ended && framing > 0) return problem("Content-Length without a body")
  } else if (!ended) {
    framing = "chunked"
    lines.push("Transfer-Encoding: chunked")
  }
  // Nothing follows the request on a connection of its own.
  lines.push("Connection: close", "", "")
  return { text: lines.join("\r\n"), framing, upgrade }
}
