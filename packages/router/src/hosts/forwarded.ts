import { canonicalAddress } from "@project-ingress/forward/internal"

/**
 * The elements of a list field (RFC 9110 §5.6.1), the last one first, without the white space around them. Every proxy appends, so
 * this is the order in which they can be believed: what a client sent stands to the left of what the first proxy wrote, and is
 * not even read before it. Commas between quotation marks do not separate.
 */
export function* elementsFromRight(lines: readonly string[]): Generator<string, undefined> {
  for (const line of lines.toReversed()) {
    let end = line.length
    let quoted = false
    for (let i = end - 1; i >= 0; i--) {
      const c = line[i]
      // A quotation mark after a backslash is one within a quotation: no quotation follows a backslash.
      if (c === '"') quoted = quoted ? line[i - 1] === "\\" : true
      else if (c === "," && !quoted) {
        yield line.slice(i + 1, end).trim()
        end = i
      }
    }
    yield line.slice(0, end).trim()
  }
}

/** `[2001:db8::1]:4711`, `192.0.2.1:4711`, either without the port, or IPv6 alone. A port may be obfuscated (RFC 7239 §6). */
const NODE =
  /^(?:\[([\da-f:.]+)\](?::(?:\d{1,5}|_[\w.-]+))?|(\d+\.\d+\.\d+\.\d+)(?::(?:\d{1,5}|_[\w.-]+))?|([\da-f:.]+))$/i

/**
 * The address of a node as proxies write it, in `X-Forwarded-For` and in `for` of `Forwarded`. `undefined` for one that hides
 * itself (`unknown`, `_hidden`) and for anything invalid.
 */
export const nodeAddress = (node: string): string | undefined => {
  const found = NODE.exec(node)
  return found === null ? undefined : canonicalAddress(found[1] ?? found[2] ?? found[3]!)
}

/** The scheme that a proxy names. Some say `wss` for a WebSocket, which is https (RFC 6455 §3). */
export const schemeOf = (value: string | undefined): "http" | "https" | undefined => {
  const lower = value?.toLowerCase()
  if (lower === "https" || lower === "wss") return "https"
  return lower === "http" || lower === "ws" ? "http" : undefined
}

/** One proxy's element of `Forwarded`: its parameters by lower-case name. */
export type ForwardedElement = ReadonlyMap<string, string>

/** A token is read generously: `for=[2001:db8::1]` without quotation marks is often seen and means one thing only. */
const PAIR = /[\t ]*([!#$%&'*+.^`|~\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\t ",;=\\]+))[\t ]*(?:;|$)/y

/** Reads an element of `Forwarded` (RFC 7239 §4). `undefined` if it is invalid, as when a parameter comes twice. */
export const forwardedElement = (text: string): ForwardedElement | undefined => {
  const parameters = new Map<string, string>()
  PAIR.lastIndex = 0
  while (PAIR.lastIndex < text.length) {
    const found = PAIR.exec(text)
    if (found === null) return undefined
    const name = found[1]!.toLowerCase()
    if (parameters.has(name)) return undefined
    parameters.set(name, found[2]?.replaceAll(/\\(.)/g, "$1") ?? found[3]!)
  }
  return parameters
}
