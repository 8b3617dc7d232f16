import { once } from "node:events"
import { connect } from "node:net"

export interface RawResponse {
  readonly status: number
  /** By lower-case name. */
  readonly fields: Readonly<Record<string, string>>
  readonly body: string
}

/** Sends what is given as it is, with `Connection: close` and a body's length, and reads to the end. */
export const rawRequest = async (
  port: number,
  head: string,
  fields: Readonly<Record<string, string>> = {},
  body = "",
): Promise<RawResponse> => {
  const socket = connect(port, "127.0.0.1")
  const lines = Object.entries({
    host: "api.test",
    connection: "close",
    ...(body === "" || "transfer-encoding" in fields ? {} : { "content-length": String(Buffer.byteLength(body)) }),
    ...fields,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  const chunks: Buffer[] = []
  socket.on("data", (chunk) => chunks.push(chunk))
  // A server that refuses a body may close before all of it is written.
  socket.on("error", () => {})
  socket.write(`${head} HTTP/1.1\r\n${lines.join("")}\r\n${body}`)
  await once(socket, "close")
  const text = Buffer.concat(chunks).toString()
  const [top = "", ...rest] = text.split("\r\n\r\n")
  const [line = "", ...given] = top.split("\r\n")
  const chunked = /^transfer-encoding: chunked$/im.test(top)
  return {
    status: Number(line.split(" ")[1]),
    fields: Object.fromEntries(
      given.map((field) => [field.split(": ")[0]!.toLowerCase(), field.slice(field.indexOf(": ") + 2)]),
    ),
    body: chunked ? unchunked(rest.join("\r\n\r\n")) : rest.join("\r\n\r\n"),
  }
}

/** Chunks of ASCII. */
const unchunked = (text: string): string => {
  const end = text.indexOf("\r\n")
  const size = Number.parseInt(text.slice(0, end), 16)
  return size > 0 ? text.slice(end + 2, end + 2 + size) + unchunked(text.slice(end + 4 + size)) : ""
}
