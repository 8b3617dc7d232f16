import { RequestProblem } from "./request-problem.ts"

/** The largest body, in bytes: more than a thousand rules take. */
const MAX_BODY = 1_048_576
/** Levels of arrays and objects; a document has seven. */
const MAX_DEPTH = 32

/**
 * The JSON of a request's body.
 *
 * @throws {RequestProblem} (rejects) 415 for what is no JSON by its fields, 413 above 1 MiB, 400 for what cannot be parsed
 */
export const readDocument = async (request: Request): Promise<unknown> => {
  const type = request.headers.get("content-type") ?? ""
  if (!/^application\/json[\t ]*(?:;[\t ]*charset="?utf-8"?[\t ]*)?$/i.test(type)) {
    throw new RequestProblem("unsupported_media_type", "the body must be application/json in UTF-8", "content-type")
  }
  if (!/^(?:identity)?$/i.test(request.headers.get("content-encoding") ?? "")) {
    throw new RequestProblem("unsupported_media_type", "the body must not be compressed", "content-encoding", {
      "accept-encoding": "identity",
    })
  }
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY) throw tooLarge()
  const text = decoded(await readBytes(request))
  if (text === undefined || depthOf(text) > MAX_DEPTH) throw invalid()
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the body, which may hold a secret.
    throw invalid()
  }
}

const readBytes = async (request: Request): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = request.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    size += part.value.byteLength
    if (size > MAX_BODY) {
      await reader?.cancel().catch(() => {})
      throw tooLarge()
    }
    chunks.push(part.value)
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** How deep brackets go outside of strings. Some parsers, and what walks the document afterwards, recurse. */
const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let isInString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') isInString = !isInString
    else if (isInString) at += Number(character === "\\")
    else if (character === "[" || character === "{") deepest = Math.max(deepest, ++depth)
    else if (character === "]" || character === "}") depth--
  }
  return deepest
}

const invalid = (): RequestProblem =>
  new RequestProblem("bad_request", `the body must be valid JSON of at most ${MAX_DEPTH} levels`)

const tooLarge = (): RequestProblem =>
  new RequestProblem("payload_too_large", `the body must have at most ${MAX_BODY} bytes`)
