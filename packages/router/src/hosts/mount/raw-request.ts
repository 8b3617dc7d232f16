import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"

/**
 * Puts a request that node:http has read, and given away with its connection, back into its socket, so that another server reads it.
 * False if that cannot be: the connection is over, or a lenient parser let something pass that would be another text.
 */
export const unread = (
  { method = "", url = "", httpVersion, rawHeaders }: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  ...more: readonly string[]
): boolean => {
  if (socket.destroyed || socket.readableEnded) return false
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`)
  if (lines.some((line) => /[\r\n\0]/.test(line))) return false
  socket.unshift(Buffer.concat([Buffer.from([...lines, ...more, "", ""].join("\r\n"), "latin1"), head]))
  return true
}
