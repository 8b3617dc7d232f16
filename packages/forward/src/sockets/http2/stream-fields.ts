import type { OutgoingHttpHeaders } from "node:http2"
import { headerValue } from "../../header-list.ts"
import type { HeaderList } from "../../header-list.ts"
import { acceptOf } from "../io/accept-of.ts"

/** Fields of which node:http2 writes one only; of an app's several the first one counts. */
const single = new Set(
  [
    "access-control-allow-credentials access-control-max-age access-control-request-method age authorization",
    "content-encoding content-language content-length content-location content-md5 content-range content-type date",
    "dnt etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified",
    "location max-forwards proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent",
    "x-content-type-options",
  ].flatMap((names) => names.split(" ")),
)

/** Fields as node:http2 takes them: by name in lower case (RFC 9113 §8.2.1), without what has no place in HTTP/2. */
export const streamFields = (headers: HeaderList, status?: number): OutgoingHttpHeaders => {
  const fields: Record<string, number | string | string[]> = { __proto__: null as never }
  if (status !== undefined) fields[":status"] = status
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    const before = fields[name]
    if (before === undefined) {
      if (name !== "te" && name !== "http2-settings") fields[name] = value
    } else if (single.has(name)) continue
    else if (typeof before === "object") before.push(value)
    else fields[name] = [String(before), value]
  }
  return fields
}

/**
 * The fields of a WebSocket's 200 (RFC 8441 §5.1); `undefined` when the app did not prove that it read the key, which only we know
 * (RFC 6455 §4.1).
 */
export const webSocketFields = (headers: HeaderList, key: string): OutgoingHttpHeaders | undefined => {
  if (headerValue(headers, "sec-websocket-accept") !== acceptOf(key)) return undefined
  const fields = streamFields(headers, 200)
  for (const name of ["connection", "upgrade", "sec-websocket-accept"]) delete fields[name]
  return fields
}
