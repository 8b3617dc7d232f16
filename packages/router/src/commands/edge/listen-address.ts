/** Where a server listens. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. Absent: every address of the machine. */
  readonly hostname?: string
  /** 0: any free one. */
  readonly port: number
}

/** An address as Go's `net.Listen` takes one: `:8080`, `127.0.0.1:8080`, `[::1]:8080`. `undefined` for any other text. */
export const parseListenAddress = (text: string): ListenAddress | undefined => {
  const [, bracketed, plain, digits] = /^(?:\[([\da-f:.]{2,45})\]|([a-z\d.-]{0,253})):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) return undefined
  const hostname = bracketed ?? plain
  return hostname ? { hostname, port } : { port }
}
