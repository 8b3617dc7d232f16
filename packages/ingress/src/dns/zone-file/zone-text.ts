import { createHash } from "node:crypto"
import { checkRecords } from "../check-record.ts"
import type { DnsRecord } from "../dns-provider.ts"
import { readTextStrings, writeTextStrings } from "../text-strings.ts"
import { raiseSerial } from "./raise-serial.ts"
import { readZone } from "./read-zone.ts"
import type { ZoneEntry, ZoneToken } from "./read-zone.ts"
import { compareText } from "../../resource/precedence.ts"

/** A zone's text, read. */
export interface ZoneText {
  /** All that is not ours, as it stands there. */
  readonly outside: string
  readonly others: readonly ZoneEntry[]
  readonly serial: ZoneToken
  /** The records of our section. */
  readonly records: readonly DnsRecord[]
  /** Whether the section is not as it was written. */
  readonly isEdited: boolean
}

const BEGIN = "; project-ingress begin "
const END = "; project-ingress end"

/** Reads a zone; gives the reason why it cannot be read. */
export const readZoneText = (text: string, zone: string): ZoneText | string => {
  const lines = text.split("\n")
  const begin = lines.findIndex((line) => line.startsWith(BEGIN))
  const end = lines.findIndex((line) => line.trimEnd() === END)
  if ((begin === -1) !== (end === -1) || end < begin) return `the lines "${BEGIN}…" and "${END}" do not fit together`
  const section = begin === -1 ? [] : lines.slice(begin + 1, end)
  const outside = (begin === -1 ? lines : [...lines.slice(0, begin), ...lines.slice(end + 1)]).join("\n")
  const others = readZone(outside, zone)
  const ours = readZone(section.join("\n"), zone)
  if (others === undefined || ours === undefined) return "parentheses or quotes are not closed"
  const [soa, ...more] = others.filter(({ type }) => type === "SOA")
  const serial = soa?.data[2]
  if (soa === undefined || more.length > 0) return "there must be one SOA record"
  if (soa.owner !== zone) return `the SOA record is of ${soa.owner}, not of ${zone}`
  if (serial === undefined || !/^\d{1,10}$/.test(serial.text) || Number(serial.text) >= 2 ** 32) {
    return "the serial of the SOA record is not a number of 32 bits"
  }
  const records: DnsRecord[] = []
  for (const entry of ours) {
    const record = recordOf(entry, zone)
    if (record === undefined) return `line ${begin + 1 + entry.line} in the section is not a record that can be here`
    records.push(record)
  }
  const isEdited = begin !== -1 && lines[begin]!.slice(BEGIN.length, BEGIN.length + 64) !== hashOf(section)
  return { outside, others, serial, records, isEdited }
}

/** A record of the section. What somebody wrote there is checked like what is put. */
const recordOf = ({ owner, type, ttl, data }: ZoneEntry, zone: string): DnsRecord | undefined => {
  const written = data.map(({ text }) => text).join(" ")
  const content = type === "TXT" ? readTextStrings(written) : type === "CNAME" ? written.replace(/\.$/, "") : written
  const record = { name: owner, type: type as DnsRecord["type"], content, ...(ttl === undefined ? {} : { ttl }) }
  try {
    return checkRecords(owner, [record], zone)[0]
  } catch {
    return undefined
  }
}

/** The text of a zone with other records of ours, and its serial raised; and which record each line of it is. */
export const writeZoneText = (
  { outside, serial }: Pick<ZoneText, "outside" | "serial">,
  records: readonly DnsRecord[],
  { ttl, now }: { readonly ttl: number; readonly now: number },
): { readonly text: string; readonly recordOfLine: (line: number) => DnsRecord | undefined } => {
  const raised = String(raiseSerial(Number(serial.text), now))
  const head = `${(outside.slice(0, serial.start) + raised + outside.slice(serial.end)).trimEnd()}\n`
  if (records.length === 0) return { text: head, recordOfLine: () => undefined }
  const sorted = records.toSorted((a, b) => compareText(lineOf(a, ttl), lineOf(b, ttl)))
  const section = sorted.map((record) => lineOf(record, ttl))
  const text = `${head}${BEGIN}${hashOf(section)} (written by a program: edit elsewhere)\n${section.join("\n")}\n${END}\n`
  const first = head.split("\n").length + 1
  return { text, recordOfLine: (line) => sorted[line - first] }
}

/** Nothing is implied: full names, TTL and class, so that `$ORIGIN`, `$TTL` and the line before have no say. */
const lineOf = ({ name, type, content, ttl }: DnsRecord, defaultTtl: number): string => {
  const data = type === "TXT" ? writeTextStrings(content) : type === "CNAME" ? `${content}.` : content
  return `${name}.\t${ttl ?? defaultTtl}\tIN\t${type}\t${data}`
}

const hashOf = (lines: readonly string[]): string => createHash("sha256").update(lines.join("\n")).digest("hex")
