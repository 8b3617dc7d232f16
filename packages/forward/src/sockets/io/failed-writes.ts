import type { Socket } from "node:net"

/**
 * Keeps a socket open for reading when a write to it fails. Node destroys it at once, and what has come meanwhile is lost: the
 * response of an app that refuses an upload and closes while the rest still arrives (RFC 9112 §9.6). What was received before the
 * reset stays in the kernel, and its end follows as for any other connection.
 *
 * `onFailed` is called with each failure and says whether to go on; then the write counts as done. Wraps the two methods that
 * streams have for their implementers: of two writes one is in progress at a time, so that nothing is made for each.
 */
export const readAfterFailedWrite = (socket: Socket, onFailed: (error: Error) => boolean): void => {
  type Done = (error?: Error | null) => void
  let done: Done
  const written: Done = (error) => done(error && onFailed(error) ? null : error)
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  socket._write = (chunk, encoding, callback) => {
    // Bun's `_writev` writes by `_write`.
    if (callback !== written) done = callback
    write(chunk, encoding, written)
  }
  if (writev === undefined) return
  socket._writev = (chunks, callback) => {
    done = callback
    writev(chunks, written)
  }
}
