/** One line on a terminal that says what is going on, and is gone at the end. Nothing, where the output is no terminal. */
export interface ProgressLine {
  readonly show: (what: string) => void
  readonly clear: () => void
}

/** A line on this stream. */
export const progressLine = (stream: { readonly isTTY?: boolean; write: (text: string) => unknown }): ProgressLine => {
  if (stream.isTTY !== true) return { show: () => {}, clear: () => {} }
  return {
    show: (what) => void stream.write(`\r\u001b[2Klooking at ${what} …`),
    clear: () => void stream.write("\r\u001b[2K"),
  }
}
