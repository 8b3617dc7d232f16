import { accept, checkOptions } from "@project-ingress/router/internal"
import { checkRecords } from "./check-record.ts"
import { cloudflareApi } from "./cloudflare-api.ts"
import type { CloudflareApi, CloudflareRecord } from "./cloudflare-api.ts"
import type { DnsProvider, DnsRecord } from "./dns-provider.ts"
import { DnsFailed, RecordInUse, RecordInvalid } from "./errors.ts"
import { readTextStrings, writeTextStrings } from "./text-strings.ts"

/** What {@link cloudflareDns} accepts. */
export interface CloudflareDnsOptions {
  /** An API token that may edit the DNS of the zone, and nothing else. */
  readonly token: string
  /** The zone's id: 32 hex digits. */
  readonly zoneId: string
  /**
   * What the `comment` of records of ours is: records with another one, or without, are never touched. 1 to 100 characters; platforms
   * that share a zone need different ones. Default `project-ingress`.
   */
  readonly comment?: string
  /**
   * True: addresses and aliases that somebody else made for a name that is put become ours, and are replaced. Nothing else is. Default
   * false: `RecordInUse`.
   */
  readonly adopt?: boolean
  /** How long a request may take, in ms, 100 to 60 000. Default 10 000. */
  readonly timeoutMs?: number
  /** Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/**
 * The records of a zone at Cloudflare, by its API v4. Each change is one transaction (`/dns_records/batch`), at Cloudflare; its servers
 * learn of it one after the other. Records are never proxied by Cloudflare, and have its automatic TTL unless they have one of their own.
 *
 * @throws {TypeError} for unknown, missing or invalid options; never with the token
 *
 * @example
 * const dns = cloudflareDns({ token: env.CLOUDFLARE_TOKEN, zoneId: "023e105f4ecef8ad9ca31a8372d0c353" })
 */
export const cloudflareDns = (options: CloudflareDnsOptions): DnsProvider => {
  checkOptions(
    "cloudflareDns",
    options,
    {
      token: (value) =>
        typeof value === "string" && /^[\x21-\x7e]{1,1024}$/.test(value) ? undefined : "visible ASCII without spaces",
      zoneId: (value) => (typeof value === "string" && /^[\da-f]{32}$/.test(value) ? undefined : "32 hex digits"),
      comment: (value) =>
        typeof value === "string" && /^[\x21-\x7e](?:[\x20-\x7e]{0,98}[\x21-\x7e])?$/.test(value)
          ? undefined
          : "1 to 100 characters of visible ASCII and inner spaces",
      adopt: accept.boolean,
      timeoutMs: accept.integer(100, 60_000),
      fetch: accept.function,
    },
    { required: ["token", "zoneId"] },
  )
  const { comment = "project-ingress", adopt = false } = options
  const api = cloudflareApi(options)

  return {
    name: api.name,
    async list(name, { signal } = {}) {
      const found = await api.find(name === undefined ? { "comment.exact": comment } : { "name.exact": name }, signal)
      return found.filter((each) => each.comment === comment && isKnown(each)).map((each) => recordOf(each))
    },
    async put(name, records, { signal } = {}) {
      const wanted = checkRecords(name, records)
      for (let attempt = 1; ; attempt++) {
        const found = await api.find({ "name.exact": name }, signal)
        const batch = plan(name, wanted, found, comment, adopt, api)
        if (batch === undefined) return
        const refused = await api.batch(batch, signal)
        if (refused === undefined) return
        const { codes } = refused
        const isConflict = codes.some((code) => CONFLICTS.has(code))
        // Between reading and writing, somebody else has made or removed one.
        if (attempt < 2 && (isConflict || codes.includes(NOT_FOUND))) continue
        if (isConflict) throw new RecordInUse({ provider: api.name, record: name })
        const invalid = codes.find((code) => INVALID.has(code))
        if (invalid !== undefined) {
          const accepted = `what Cloudflare accepts (code ${invalid})`
          throw new RecordInvalid({ record: name, field: "content", accepted, cause: refused.cause })
        }
        throw new DnsFailed({ provider: api.name, reason: refused.reason, cause: refused.cause })
      }
    },
  }
}

/** A record exists, an identical one does; A or AAAA beside CNAME, or the other way round. */
const CONFLICTS: ReadonlySet<number> = new Set([81_057, 81_058, 81_053, 81_054])
const NOT_FOUND = 81_044
const INVALID: ReadonlySet<number> = new Set([9_005, 1_004])

const isAddress = ({ type }: { readonly type: string }): boolean => type === "A" || type === "AAAA" || type === "CNAME"
const isKnown = (record: { readonly type: string }): boolean => isAddress(record) || record.type === "TXT"

/** What makes the records of a name those that are wanted; `undefined`: nothing. */
const plan = (
  name: string,
  wanted: readonly DnsRecord[],
  found: readonly CloudflareRecord[],
  comment: string,
  adopt: boolean,
  api: CloudflareApi,
): Parameters<CloudflareApi["batch"]>[0] | undefined => {
  const adopts = (record: CloudflareRecord): boolean => adopt && isAddress(record) && wanted.some(isAddress)
  const isOurs = (record: CloudflareRecord): boolean =>
    isKnown(record) && (record.comment === comment || adopts(record))
  const foreign = found.filter((record) => !isOurs(record))
  // Two addresses of two makers would lead visitors to the one or the other by chance.
  const clashes = (record: DnsRecord): boolean =>
    record.type === "CNAME" ? foreign.length > 0 : isAddress(record) && foreign.some(isAddress)
  if (wanted.some(clashes)) throw new RecordInUse({ provider: api.name, record: name })

  const left = found.filter(isOurs)
  const missing: CloudflareFields[] = []
  for (const fields of wanted.map((record) => fieldsOf(record, comment))) {
    const same = left.findIndex((each) => contentKey(each) === contentKey(fields))
    const isThere = same !== -1 && left[same]!.ttl === fields.ttl && left[same]!.comment === comment
    if (isThere) left.splice(same, 1)
    else missing.push(fields)
  }
  const patches: (CloudflareFields & { id: string })[] = []
  const posts: CloudflareFields[] = []
  for (const fields of missing) {
    const exact = left.findIndex((each) => contentKey(each) === contentKey(fields))
    const at = exact === -1 ? left.findIndex(({ type }) => type === fields.type) : exact
    if (at === -1) posts.push(fields)
    else patches.push({ id: left.splice(at, 1)[0]!.id, ...fields })
  }
  const deletes = left.map(({ id }) => ({ id }))
  return patches.length + posts.length + deletes.length === 0 ? undefined : { deletes, patches, posts }
}

type CloudflareFields = Omit<CloudflareRecord, "id"> & { readonly proxied: false }

const fieldsOf = ({ name, type, content, ttl = 1 }: DnsRecord, comment: string): CloudflareFields => ({
  name,
  type,
  content: type === "TXT" ? writeTextStrings(content) : content,
  ttl,
  proxied: false,
  comment,
})

const contentOf = ({ type, content }: Pick<CloudflareRecord, "type" | "content">): string =>
  type === "TXT" ? readTextStrings(content) : content.toLowerCase()

const contentKey = (record: Pick<CloudflareRecord, "type" | "content">): string => `${record.type} ${contentOf(record)}`

const recordOf = (record: CloudflareRecord): DnsRecord => ({
  name: record.name.toLowerCase(),
  type: record.type as DnsRecord["type"],
  content: contentOf(record),
  ...(record.ttl === 1 ? {} : { ttl: record.ttl }),
})
