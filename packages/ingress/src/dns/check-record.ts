import { canonicalAddress } from "@project-ingress/router/internal"
import type { DnsRecord } from "./dns-provider.ts"
import { RecordInvalid } from "./errors.ts"

const LABEL = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/

/**
 * Whether a text is a full name of the DNS as records have it: at most 253 characters, labels of 1 to 63 lower-case letters, digits,
 * `-` and `_`. `*` only as the first label of several (RFC 4592).
 */
export const isDnsName = (name: string): boolean => {
  if (name.length > 253) return false
  const labels = name.split(".")
  return labels.every((label, at) => LABEL.test(label) || (label === "*" && at === 0 && labels.length > 1))
}

/** Whether a name is a zone's own or below it. */
export const isInZone = (name: string, zone: string): boolean => name === zone || name.endsWith(`.${zone}`)

/**
 * What can be put under a name: valid records of this name, in one notation, without duplicates, sorted by type and content.
 *
 * @throws {RecordInvalid} for the first that is not
 */
export const checkRecords = (name: string, records: readonly DnsRecord[], zone?: string): readonly DnsRecord[] => {
  const fail = (field: RecordInvalid["field"], accepted: string): never => {
    throw new RecordInvalid({ record: name, field, accepted })
  }
  if (!isDnsName(name)) fail("name", "a full name in lower case and punycode, of at most 253 characters")
  if (zone !== undefined && !isInZone(name, zone)) fail("name", `a name in ${zone}`)
  const checked = new Map<string, DnsRecord>()
  for (const record of records) {
    const { type, ttl } = record
    if (record.name !== name) fail("name", "the one that is put")
    if (ttl !== undefined && !(Number.isSafeInteger(ttl) && ttl >= 60 && ttl <= 86_400)) {
      fail("ttl", "an integer from 60 to 86400")
    }
    const reader = Object.hasOwn(readers, type) ? readers[type] : undefined
    if (reader === undefined) return fail("type", Object.keys(readers).join(", "))
    // BIND refuses a whole zone in which an address has such an owner (`check-names`).
    if ((type === "A" || type === "AAAA") && name.includes("_")) fail("name", "a hostname, without _, for an address")
    const content = reader.read(record.content)
    if (content === undefined) return fail("content", reader.accepted)
    checked.set(`${type} ${content}`, { name, type, content, ...(ttl === undefined ? {} : { ttl }) })
  }
  const cname = [...checked.values()].some(({ type }) => type === "CNAME")
  if (cname && checked.size > 1) fail("type", "CNAME alone, or other types (RFC 1034 §3.6.2)")
  return [...checked].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record)
}

interface ContentReader {
  readonly accepted: string
  /** The content in one notation. */
  readonly read: (content: string) => string | undefined
}

const readers: Readonly<Record<DnsRecord["type"], ContentReader>> = {
  A: {
    accepted: "an IPv4 address of four decimal numbers",
    read: (content) => (content.includes(":") ? undefined : canonicalAddress(content)),
  },
  AAAA: {
    accepted: "an IPv6 address",
    read: (content) => {
      const address = canonicalAddress(content)
      return address?.includes(":") ? address : undefined
    },
  },
  CNAME: {
    accepted: "a full name in lower case and punycode",
    read: (content) => (isDnsName(content) && !content.startsWith("*") ? content : undefined),
  },
  TXT: {
    accepted: "1 to 2048 characters of visible ASCII and spaces",
    read: (content) => (/^[\x20-\x7e]{1,2048}$/.test(content) ? content : undefined),
  },
}
