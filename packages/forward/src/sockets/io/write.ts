import type { Duplex } from "node:stream"

/** A piece of a body up to this many bytes is cheaper to copy into the text before it than to write beside it. */
const SMALL = 2_048
/** How much may be buffered for a client before its next pipelined request is read, in bytes. */
const HIGH_WATER = 65_536
const NO_BYTES = Buffer.alloc(0)

/**
 * Writes a piece of a body, framed as a chunk or as it is, after `before`. False when the source is to wait for `drain`: by
 * what the kernel did not take, not by the size of the piece.
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
 * Whether the kernel took all that was just written; when not, the source is to wait for `drain`. So one read of 64 KiB waits
 * in the socket, and one more in the stream that is being paused. `more` is what `write` gave: below its own mark of 64 KiB
 * a stream emits no `drain`, so that one is made.
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

/** Whether as much waits in a socket as may. Then a `write` has returned false, so that a `drain` will come. */
export const isFull = (socket: Duplex): boolean => socket.writableLength >= HIGH_WATER

/** Ends a connection so that the peer sees a failure: a clean end would look like the end of a response. */
export const reset = (socket: Duplex): void => {
  if ("resetAndDestroy" in socket && typeof socket.resetAndDestroy === "function") {
    try {
      socket.resetAndDestroy()
      return
    } catch {
      // Not a TCP socket: under TLS the missing close_notify says the same.
    }
  }
  socket.destroy()
}

/** Ends a connection once everything written to it is on its way. */
export const endAndDestroy = (socket: Duplex): void => {
  if (socket.writableFinished) socket.destroy()
  else socket.end(() => socket.destroy())
}
