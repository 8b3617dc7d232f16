import { Buffer } from "node:buffer"
import { decode, encode } from "dns-packet"
import type { Question } from "dns-packet"

/** The response codes that are given here (RFC 1035 §4.1.1). */
export const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const

/** A query that can be responded to. */
export interface DnsQuery {
  readonly id: number
  readonly opcode: number
  readonly recursionDesired: boolean
  readonly question: Question
  /** The version of EDNS that it speaks (RFC 6891); `undefined`: none. */
  readonly ednsVersion: number | undefined
}

const HEADER = 12
/** Queries are shorter, with every option that resolvers send. */
const MAX_QUERY = 512

/** Reads a packet: a query, the response to what is not a valid one, or `undefined` for what gets no response at all. */
export const readQuery = (packet: Buffer): DnsQuery | Buffer | undefined => {
  // A response to a response would let two servers talk to each other without end.
  if (packet.length < HEADER || (packet[2]! & 0x80) !== 0) return undefined
  const opcode = (packet[2]! >> 3) & 0xf
  if (opcode !== 0) return headerOnly(packet, rcodes.NOTIMP)
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => packet.readUInt16BE(at))
  // Before it is decoded, because a decoder makes room for as many as the header says.
  const isUsual = questions === 1 && answers === 0 && authorities === 0 && additionals! <= 2
  if (packet.length > MAX_QUERY || !isUsual) return headerOnly(packet, rcodes.FORMERR)
  try {
    const { id, questions, additionals = [], flag_rd } = decode(packet)
    const question = questions![0]!
    // What is not the same when it is written again is no name in plain labels: compressed, or with dots within a label.
    const written = encode({ type: "query", questions: [question] }).subarray(HEADER)
    const edns = additionals.filter((each) => each.type === "OPT")
    if (edns.length > 1 || !written.equals(packet.subarray(HEADER, HEADER + written.length))) {
      return headerOnly(packet, rcodes.FORMERR)
    }
    const [options] = edns as { readonly ednsVersion?: number }[]
    return {
      id: id!,
      opcode,
      recursionDesired: flag_rd,
      question,
      ednsVersion: options === undefined ? undefined : (options.ednsVersion ?? 0),
    }
  } catch {
    return headerOnly(packet, rcodes.FORMERR)
  }
}

/** The header of the query, as a response without anything else. */
const headerOnly = (packet: Buffer, rcode: number): Buffer => {
  const response = Buffer.alloc(HEADER)
  packet.copy(response, 0, 0, 4)
  // QR, with opcode and RD of the query (RFC 1035 §4.1.1).
  response[2] = 0x80 | (packet[2]! & 0x79)
  response[3] = rcode
  return response
}
