import type { HeaderList } from "../header-list.ts"

/** Far above the fields of a browser, in bytes. */
const MOST = 65_536

/**
 * The fields by which a client says in what form it wants a response, of a head that could not be read as a whole, as far as they
 * had come: for the response to it, and for nothing else.
 */
export const readableFields = (head: Uint8Array): HeaderList => {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, MOST)).toString("latin1")
  // What follows an empty line is no field, and a last line without an end may be a part of one.
  const lines = text
    .replace(/\r\n\r\n.*$/s, "\r\n")
    .split("\r\n")
    .slice(1, -1)
  return lines.flatMap((line) => FIELD.exec(line)?.slice(1) ?? [])
}

const FIELD = /^(accept|content-type|sec-fetch-mode|upgrade):[\t ]*([\t\x20-\x7e]*)$/i
