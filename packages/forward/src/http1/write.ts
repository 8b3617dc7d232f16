import type { HeaderList } from "../header-list.ts"

/** How an outgoing body is framed. `none`: the fields' own `Content-Length` stays, as for HEAD and 304. */
export type BodyFraming = number | "chunked" | "until-close" | "none"

/** The head of an outgoing request, one character per byte. Framing fields are written here and only here. */
export const requestHeadText = (method: string, target: string, headers: HeaderList, framing: BodyFraming): string =>
  `${method} ${target} HTTP/1.1\r\n${fieldsText(headers, framing)}\r\n`

/** The head of an outgoing response, one character per byte. `close`: with `Connection: close`. */
export const responseHeadText = (
  status: number,
  reason: string,
  headers: HeaderList,
  framing: BodyFraming,
  close: boolean,
): string =>
  `HTTP/1.1 ${status} ${reason}\r\n${fieldsText(headers, framing)}${close ? "Connection: close\r\n\r\n" : "\r\n"}`

/** The last chunk with its trailers. */
export const lastChunkText = (trailers: HeaderList): string =>
  trailers.length === 0 ? "0\r\n\r\n" : `0\r\n${fieldsText(trailers, "none")}\r\n`

/** Joined and not added up: a text of many parts is only then put together when it is written, which takes longer. */
const fieldsText = (headers: HeaderList, framing: BodyFraming): string => {
  const lines: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (framing !== "none" && (name.length === 14 || name.length === 17)) {
      const lower = name.toLowerCase()
      if (lower === "content-length" || lower === "transfer-encoding") continue
    }
    lines.push(name + ": " + headers[i + 1]!)
  }
  if (framing === "chunked") lines.push("Transfer-Encoding: chunked")
  else if (typeof framing === "number") lines.push("Content-Length: " + framing)
  lines.push("")
  return lines.join("\r\n")
}
