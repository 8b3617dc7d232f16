import { isGrpc } from "./grpc-status.ts"

/** How a failure is shown: to a person in a browser, to a program, to a person at a command line, or to a client of gRPC. */
export type ResponseFormat = "page" | "json" | "text" | "grpc"

const formats: ReadonlyMap<string, ResponseFormat> = new Map([
  ["text/html", "page"],
  ["application/xhtml+xml", "page"],
  ["application/json", "json"],
  ["text/plain", "text"],
])

/**
 * The one place that decides how a failure is shown, by the request's fields (`get` has the first value of one, by lower-case
 * name):
 *
 * - a call of gRPC, by its `Content-Type`: a status of gRPC, because its clients read nothing else;
 * - a WebSocket handshake: JSON;
 * - where a browser says what it does (`Sec-Fetch-Mode`): a page for a navigation, else JSON, so that no script gets HTML;
 * - else what `Accept` prefers of HTML, JSON (any `+json` too) and plain text: the highest `q`, then the first;
 * - else a line of text: `curl`, and whatever else asks for nothing.
 */
export const responseFormat = (get: (lowerName: string) => string | null | undefined): ResponseFormat => {
  if (isGrpc(get("content-type"))) return "grpc"
  // Not `h2c`, which curl may send with any request.
  if (get("upgrade")?.toLowerCase() === "websocket") return "json"
  const mode = get("sec-fetch-mode")
  if (mode) return mode === "navigate" ? "page" : "json"
  let found: ResponseFormat = "text"
  let best = 0
  for (const range of (get("accept") ?? "").slice(0, 1024).toLowerCase().split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim())
    const format = type.endsWith("+json") ? "json" : formats.get(type)
    // RFC 9110 §12.4.2: 1 without a weight, and 0 is "not acceptable".
    const weight = Number(parameters.find((each) => each.startsWith("q="))?.slice(2) ?? 1)
    if (format !== undefined && weight > best) [found, best] = [format, weight]
  }
  return found
}
