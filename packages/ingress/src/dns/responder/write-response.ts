import type { Buffer } from "node:buffer"
import { AUTHORITATIVE_ANSWER, RECURSION_DESIRED, encode } from "dns-packet"
import type { Answer, Packet } from "dns-packet"
import { rcodes } from "./read-query.ts"
import type { DnsQuery } from "./read-query.ts"

/** What is responded to a query. */
export type DnsVerdict =
  | { readonly address: string }
  /** The name exists, and has no record of this type. */
  | "no data"
  /** The zone itself was asked for. */
  | "soa"
  | Exclude<keyof typeof rcodes, "NOERROR" | "FORMERR">

/** How long a response may be kept, in s: as long as a machine that has moved may be looked for at its former address. */
export const TTL = 5

/** The extended code 16 is 1 above the four bits of the header (RFC 6891 §6.1.3). */
const BADVERS = 1
/** What may be sent over any network without fragments (DNS flag day 2020). No response here is as long. */
const UDP_PAYLOAD = 1_232

/** The response to a query, with the name in the letters of the query (draft-vixie-dnsext-dns0x20). */
export const writeResponse = (query: DnsQuery, verdict: DnsVerdict, zone: string): Buffer => {
  const { id, question, ednsVersion, recursionDesired } = query
  const isBadVersion = ednsVersion !== undefined && ednsVersion > 0
  const isOurs = verdict !== "REFUSED" && verdict !== "NOTIMP" && !isBadVersion
  const rcode = isBadVersion || typeof verdict === "object" ? 0 : verdict in rcodes ? rcodes[verdict as "NXDOMAIN"] : 0
  // The SOA says how long nothing may be kept (RFC 2308 §3).
  const hasSoa = isOurs && (verdict === "no data" || verdict === "NXDOMAIN")
  const response: Packet = {
    type: "response",
    id,
    flags: rcode | (isOurs ? AUTHORITATIVE_ANSWER : 0) | (recursionDesired ? RECURSION_DESIRED : 0),
    questions: [question],
    answers: isBadVersion ? [] : answersOf(question.name, verdict, zone),
    authorities: hasSoa ? [soaOf(zone, zone)] : [],
    additionals: ednsVersion === undefined ? [] : [edns(isBadVersion ? BADVERS : 0)],
  }
  return encode(response)
}

const answersOf = (name: string, verdict: DnsVerdict, zone: string): Answer[] => {
  if (verdict === "soa") return [soaOf(name, zone)]
  if (typeof verdict !== "object") return []
  const { address } = verdict
  return [{ name, type: address.includes(":") ? "AAAA" : "A", class: "IN", ttl: TTL, data: address }]
}

const soaOf = (name: string, zone: string): Answer => ({
  name,
  type: "SOA",
  class: "IN",
  ttl: TTL,
  data: { mname: zone, rname: "nobody.invalid", serial: 1, refresh: 60, retry: 60, expire: 60, minimum: TTL },
})

const edns = (extendedRcode: number): Answer => ({
  name: ".",
  type: "OPT",
  udpPayloadSize: UDP_PAYLOAD,
  extendedRcode,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
})
