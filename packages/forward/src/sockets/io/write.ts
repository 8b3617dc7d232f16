import type { Duplex } from "node:stream"

/** Up to this many bytes, copying a piece of a body into the text before it is cheaper than a second write. */
const SMALL = 2_048
/** The next pipelined request is read only while less than this is buffered for its client, in bytes. */
const HIGH_WATER = 65_536
const NO_BYTES = Buffer.alloc(0)

/**
 * Writes `before`, then a piece of a body, as a chunk or as it is. False if the source must wait for `drain`, which depends on
 * what the kernel has accepted and not on the size of the piece.
 */
export const writePiece = (socket: Duplex, before: string, bytes: Uint8Array, chunked: boolean): boolean => {
  const head = chunked ? `${before}${bytes.length.toString(16)}\r\n` : before
  if (bytes.length <= SMALL) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
    return flushed(socket, socket.write(chunked ? head + text + "\r\n" : head + text, "latin1"))
  }
  if (head === "") return flushed(socket, socket.write(bytes))
  socket.cork()
  socket.write(head, "latin1")
  let more = socket.write(bytes)
  if (chunked) more = socket.write("\r\n", "latin1")
  socket.uncork()
  return flushed(socket, more)
}

/**
 * Whether the kernel accepted everything that was just written; if not, the source must wait for `drain`. So at most one read of
 * 64 KiB waits in the socket, and one more in the source while it is being paused. `more` is the result of `write`: a stream that
 * holds less than its high-water mark emits no `drain`, so this function emits one.
 */
export const flushed = (socket: Duplex, more: boolean): boolean => {
  if (socket.writableLength === 0) return true
  if (more) {
    socket.write(NO_BYTES, (error) => {
      if (!error) socket.emit("drain")
    })
  }
  return false
}

/** Whether a socket has as much buffered as it may. Then a `write` has returned false, so a `drain` will follow. */
export const isFull = (socket: Duplex): boolean => socket.writableLength >= HIGH_WATER

/** Ends a connection so that the peer sees a failure: a clean end would look like the end of a response. */
export const reset = (socket: Duplex): void => {
  if ("resetAndDestroy" in socket && typeof socket.resetAndDestroy === "function") {
    try {
      socket.resetAndDestroy()
      return
    } catch {
      // Not a TCP socket. With TLS the missing close_notify shows the failure.
    }
  }
  socket.destroy()
}

/** Ends a connection after everything that was written to it is sent. */
export const endAndDestroy = (socket: Duplex): void => {
  if (socket.writableFinished) socket.destroy()
  else socket.end(() => socket.destroy())
}
