import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2"
import type { HeaderList } from "../../header-list.ts"

/**
 * Tells whether a response ended by a reset of its stream. Node ends the stream alike for END_STREAM and for a reset without an error
 * (RFC 9113 §8.1), but it is closed before its end for the latter only.
 */
export const watchReset = (stream: ClientHttp2Stream): (() => boolean) => {
  let isReset = false
  const push = stream.push.bind(stream)
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null) isReset ||= stream.closed
    return push(chunk, encoding)
  }
  return () => isReset || stream.rstCode !== 0
}

/** Ends a request with trailers; one line of each name. */
export const sendTrailers = (stream: ClientHttp2Stream, trailers: HeaderList): void => {
  const fields = Object.create(null) as OutgoingHttpHeaders
  for (let i = 0; i < trailers.length; i += 2) fields[trailers[i]!.toLowerCase()] ??= trailers[i + 1]!
  try {
    stream.sendTrailers(fields)
  } catch {
    // Reset in the meantime.
  }
}
