/** What a header of the PROXY protocol's version 2 is made of; `command` with the version, `family` with the transport. */
export interface ProxyV2 {
  readonly command?: number
  readonly family: number
  readonly addresses: Buffer
  readonly extensions?: Buffer
}

export const proxyV2 = ({ command = 0x21, family, addresses, extensions = Buffer.alloc(0) }: ProxyV2): Buffer => {
  const fixed = Buffer.from("\r\n\r\n\0\r\nQUIT\n\0\0\0\0", "latin1")
  fixed[12] = command
  fixed[13] = family
  fixed.writeUInt16BE(addresses.length + extensions.length, 14)
  return Buffer.concat([fixed, addresses, extensions])
}

/** One extension: its value, or so many bytes of anything. */
export const extension = (type: number, value: Buffer | number): Buffer => {
  const bytes = typeof value === "number" ? Buffer.alloc(value) : value
  const head = Buffer.from([type, 0, 0])
  head.writeUInt16BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}
