import { readFile, realpath, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { checkRecords, isDnsName } from "../check-record.ts"
import type { DnsProvider, DnsRecord } from "../dns-provider.ts"
import { DnsFailed, RecordInUse, RecordInvalid } from "../errors.ts"
import { oneByOne } from "../../storage/one-by-one.ts"
import { checkZone, zoneCheckers } from "./check-zone.ts"
import type { ZoneChecker } from "./check-zone.ts"
import { replaceFile, writeBeside } from "./replace-file.ts"
import { readZoneText, writeZoneText } from "./zone-text.ts"
import type { ZoneText } from "./zone-text.ts"

export type { ZoneChecker } from "./check-zone.ts"

/** What {@link zoneFile} accepts. */
export interface ZoneFileOptions {
  /** The zone's file, which exists: with its SOA, NS and whatever else it has. */
  readonly path: string
  /** The name of the zone: `internal.example.com`. */
  readonly origin: string
  /**
   * What looks at the zone before it replaces the one that is there: the checker of a server, which must be installed, or a function
   * that rejects. Default: nothing but the rules of the writer itself; CoreDNS has no checker.
   */
  readonly check?: ZoneChecker | ((zone: { readonly path: string; readonly origin: string }) => unknown)
  /**
   * Has the server read the zone again: a function, or the file with the id of its process, which is sent SIGHUP (Knot, NSD, BIND).
   * Default: nothing; CoreDNS finds a raised serial by itself.
   */
  readonly reload?: (() => unknown) | { readonly pidFile: string }
  /** How long resolvers may keep records that do not say so themselves, in s, 60 to 86 400. Default 60. */
  readonly ttl?: number
  /** True: a section that somebody has edited by hand is taken as it is, and overwritten. Default false: `DnsFailed`. */
  readonly adopt?: boolean
  /** Default `Date.now`. */
  readonly now?: () => number
}

/**
 * Keeps records in a section of its own at the end of a zone file; the rest of the file stays as it is, but for the serial of its SOA
 * record, which is raised. A name that has an address or an alias elsewhere in the file is `RecordInUse`.
 *
 * The new file is written beside the old one, checked, and takes its place at once; if the server cannot be reloaded, the records
 * that were there are written again. One process at a time may write the file, people included: a file that has changed meanwhile is
 * read again.
 *
 * @throws {TypeError} for unknown, missing or invalid options
 *
 * @example
 * const dns = zoneFile({
 *   path: "/var/lib/knot/internal.example.com.zone",
 *   origin: "internal.example.com",
 *   check: "kzonecheck",
 *   reload: { pidFile: "/run/knot/knot.pid" },
 * })
 */
export const zoneFile = (options: ZoneFileOptions): DnsProvider => {
  checkOptions(
    "zoneFile",
    options,
    {
      path: accept.string,
      origin: (value) =>
        typeof value === "string" && isDnsName(value) && !value.startsWith("*")
          ? undefined
          : "the full name of a zone, in lower case and without a final dot",
      check: (value) =>
        typeof value === "function" ? undefined : accept.oneOf(...Object.keys(zoneCheckers))(value) && CHECKS,
      reload: (value) => {
        const { pidFile } = (value ?? {}) as { readonly pidFile?: unknown }
        return typeof value === "function" || accept.string(pidFile) === undefined ? undefined : RELOADS
      },
      ttl: accept.integer(60, 86_400),
      adopt: accept.boolean,
      now: accept.function,
    },
    { required: ["path", "origin"] },
  )
  const { origin, check, reload, ttl = 60, adopt = false, now = Date.now } = options
  const name = "zone file"
  const failed = (reason: string, cause?: unknown): DnsFailed => new DnsFailed({ provider: name, reason, cause })

  const read = async (): Promise<ZoneText & { readonly path: string; readonly text: string }> => {
    let path: string
    let text: string
    try {
      // A link stays one: what it leads to is replaced.
      path = await realpath(options.path)
      text = await readFile(path, "utf8")
    } catch (cause) {
      throw failed("the zone cannot be read", cause)
    }
    const zone = readZoneText(text, origin)
    if (typeof zone === "string") throw failed(`the zone cannot be read: ${zone}`)
    if (zone.isEdited && !adopt) throw failed("the section of records that are made here was edited by hand")
    return { ...zone, path, text }
  }

  /** Resolves to false if the file has changed meanwhile. */
  const write = async (
    zone: Awaited<ReturnType<typeof read>>,
    records: readonly DnsRecord[],
    signal?: AbortSignal,
  ): Promise<boolean> => {
    const folder = dirname(zone.path)
    const next = writeZoneText(zone, records, { ttl, now: now() })
    const written = await writeBeside(zone.path, folder, next.text).catch((cause: unknown) => {
      throw failed("the zone cannot be written", cause)
    })
    try {
      if (typeof check === "function") await check({ path: written, origin })
      else if (check !== undefined) {
        const refused = await checkZone(check, { zone: origin, path: written, folder, signal })
        if (refused !== undefined) {
          const { line, owner, reason } = refused
          const record = line === undefined ? records.find(({ name }) => name === owner) : next.recordOfLine(line)
          if (record === undefined) throw failed(`${check}: ${reason}`)
          throw new RecordInvalid({
            record: record.name,
            field: "content",
            accepted: `accepted by ${check}: ${reason}`,
          })
        }
      }
      signal?.throwIfAborted()
      if ((await readFile(zone.path, "utf8")) !== zone.text) return false
      await replaceFile(written, zone.path, folder)
      return true
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof DnsFailed || cause instanceof RecordInvalid) throw cause
      throw failed(
        typeof check === "string" ? `${check} cannot be run` : "the zone cannot be checked or written",
        cause,
      )
    } finally {
      await rm(written, { force: true })
    }
  }

  const tellServer = async (): Promise<void> => {
    if (typeof reload === "function") await reload()
    else if (reload !== undefined) {
      const pid = Number((await readFile(reload.pidFile, "utf8")).trim())
      // 0 and negative ids are groups of processes, 1 is init.
      if (!Number.isSafeInteger(pid) || pid < 2) throw new Error(`${reload.pidFile} holds no id of a process`)
      process.kill(pid, "SIGHUP")
    }
  }

  const withTtl = ({ name, type, content, ttl: own = ttl }: DnsRecord): DnsRecord => ({ name, type, content, ttl: own })

  const put = async (owner: string, records: readonly DnsRecord[], signal?: AbortSignal): Promise<void> => {
    const wanted = checkRecords(owner, records, origin).map(withTtl)
    for (let attempt = 0; attempt < 3; attempt++) {
      const zone = await read()
      if (wanted.some((record) => zone.others.some((other) => clashes(record, other)))) {
        throw new RecordInUse({ provider: name, record: owner })
      }
      const current = zone.records.filter((record) => record.name === owner)
      if (
        !zone.isEdited &&
        JSON.stringify(current.toSorted(byContent)) === JSON.stringify(wanted.toSorted(byContent))
      ) {
        return
      }
      if (!(await write(zone, [...zone.records.filter((record) => record.name !== owner), ...wanted], signal))) continue
      try {
        await tellServer()
      } catch (cause) {
        // With a later serial once more: nobody knows whether the server has read the file.
        await write(await read(), zone.records).catch(() => undefined)
        await Promise.resolve()
          .then(tellServer)
          .catch(() => undefined)
        throw failed("the server cannot be reloaded", cause)
      }
      return
    }
    throw failed("the zone is changed by somebody else all the time")
  }

  const inTurn = oneByOne()
  return {
    name,
    list: async (owner) => {
      const { records } = await read()
      return owner === undefined ? records : records.filter((record) => record.name === owner)
    },
    put: (owner, records, { signal } = {}) =>
      inTurn(async () => {
        signal?.throwIfAborted()
        await put(owner, records, signal)
      }),
  }
}

const CHECKS = `a function or ${Object.keys(zoneCheckers).join(" or ")}`
const RELOADS = "a function or { pidFile }"

const ADDRESSES: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME"])

/** Two addresses of two makers would lead to the one or the other by chance; an alias is alone (RFC 1034 §3.6.2). */
const clashes = (record: DnsRecord, other: { readonly owner: string; readonly type: string }): boolean => {
  if (record.name !== other.owner) return false
  if (record.type === "CNAME" || other.type === "CNAME") return true
  return ADDRESSES.has(record.type) && ADDRESSES.has(other.type)
}

const byContent = (a: DnsRecord, b: DnsRecord): number => (`${a.type} ${a.content}` < `${b.type} ${b.content}` ? -1 : 1)
