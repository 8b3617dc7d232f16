import { accept, canonicalAddress, checkOptions, cidrMatcher } from "@project-ingress/router/internal"
import type { Ingresses } from "../control/ingresses.ts"
import { isDnsName } from "../dns/check-record.ts"
import type { DnsProvider, DnsRecord } from "../dns/dns-provider.ts"
import { DnsFailed } from "../dns/errors.ts"
import type { DnsError } from "../dns/errors.ts"
import { HostnameInUse, NotFound } from "../resource/errors.ts"
import { RevisionConflict } from "../storage/ingress-storage.ts"
import type { ExposedRecord, IngressStorage } from "../storage/ingress-storage.ts"
import { oneByOne } from "../storage/one-by-one.ts"
import { coveredBy } from "../certificates/covered-by.ts"
import { exposedOf, ingressName, ingressOf } from "./exposed.ts"
import type { Exposed } from "./exposed.ts"
import { readName, readRequest } from "./read-request.ts"
import type { ExposeRequest, ValidRequest } from "./read-request.ts"
import { recordTable } from "./record-table.ts"

/** What {@link createExpose} accepts. */
export interface ExposeOptions {
  /** Where routes are declared. */
  readonly ingresses: Pick<Ingresses, "create" | "replace" | "remove">
  /** The storage of `ingresses`: what is exposed is kept there, too. */
  readonly storage: IngressStorage
  /** Where records are kept: `cloudflareDns(…)`, `zoneFile(…)`. */
  readonly dns: DnsProvider
  /** The IP address of the proxy, to which names with a port lead: `100.64.0.1`. */
  readonly address: string
  /** The domain of names that are one label; then no name elsewhere can be exposed. Absent: full names only, wherever `dns` lets them be. */
  readonly domain?: string
  /** The networks that targets must be in: `["100.64.0.0/10"]`. One that holds every address is refused. */
  readonly allowedTargets: readonly string[]
  /**
   * The names of the certificates that the front has: `*.internal.example.com`. A name that one covers is served by TLS, with a redirect
   * from plain HTTP, and orders no certificate. Default none.
   */
  readonly certificates?: readonly string[]
  /** True: every name is served by TLS, and one that is not covered orders a certificate. False: by plain HTTP. Default: TLS where covered. */
  readonly tls?: boolean
  /** Called for what happens beside calls. Must not throw. */
  readonly onEvent?: (event: ExposeEvent) => void
  /** Default `Date.now`. */
  readonly now?: () => number
}

/** Something that `start` has put in order. */
export interface ExposeRepair {
  readonly name: string
  /** `dns`: the records of the name; `route`: an ingress that belonged to nothing was removed; `record`: its ingress was gone, and so is the name. */
  readonly what: "dns" | "route" | "record"
}

/** What happens beside calls: a step that could not be undone, which the next `start` does; a document that cannot be read. */
export type ExposeEvent =
  | { readonly type: "error"; readonly during: "undo"; readonly name: string; readonly cause: unknown }
  | { readonly type: "unreadable"; readonly kind: "record" | "ingress"; readonly id: string }

/** Names with a DNS record and a route: both or neither. */
export interface Expose {
  /** The proxy's address, in one notation. */
  readonly address: string
  readonly domain: string | undefined
  /**
   * Makes the record and, with a port, the route of a name, or replaces them. Rejects with an `IngressError`, a `DnsError`,
   * `RevisionConflict` if another process changed the name meanwhile, or what the storage rejects with: then both are as before. What
   * cannot be undone, because DNS is down for one, is an event, and `start` puts it in order.
   */
  expose(request: ExposeRequest): Promise<Exposed>
  /** Removes the record and the route of a name. Rejects like `expose`, and with `NotFound`. */
  unexpose(name: string, options?: { readonly owner?: string }): Promise<void>
  /** By name. */
  list(options?: { readonly owner?: string }): Promise<readonly Exposed[]>
  /**
   * Brings records and routes to what is stored: what a killed process left, and what somebody changed by hand. Call it at the
   * start, and whenever there was an error while something was undone. Nothing is removed while a document cannot be read.
   */
  start(): Promise<readonly ExposeRepair[]>
}

/**
 * Exposes names: a record at a DNS provider and a route, in one call. The stored document of a name is written last, and is what counts.
 * Calls are carried out one after the other.
 *
 * @throws {TypeError} for unknown, missing or invalid options
 *
 * @example
 * const { expose } = createExpose({ ingresses, storage, dns, address: "100.64.0.1", domain: "internal.example.com", allowedTargets: ["100.64.0.0/10"] })
 * await expose({ name: "llm", port: 8080, target: "100.64.0.2" })
 */
export const createExpose = (options: ExposeOptions): Expose => {
  checkExposeOptions(options)
  const { ingresses, storage, dns, domain, allowedTargets, certificates = [], now = Date.now } = options
  const onEvent = options.onEvent ?? (() => undefined)
  const address = canonicalAddress(options.address)!
  const isAllowed = cidrMatcher("createExpose: allowedTargets", allowedTargets)
  const table = recordTable(storage)
  const isTls = (hostname: string): boolean => options.tls ?? coveredBy(certificates, hostname) !== undefined

  const inTurn = oneByOne()

  /** A provider of somebody else's may reject with anything. */
  const asDnsError = (cause: unknown): never => {
    if (DNS_ERRORS.has(tagOf(cause))) throw cause
    throw new DnsFailed({ provider: dns.name, reason: "the call failed", cause })
  }

  const exposed = (record: ExposedRecord): Exposed =>
    exposedOf(record, table.ingresses.get(record.ingress ?? "")?.ingress, coveredBy(certificates, record.id))

  const putDns = (name: string, records: readonly DnsRecord[]): Promise<void> =>
    dns.put(name, records).catch(asDnsError)
  const listDns = (): Promise<readonly DnsRecord[]> => dns.list().catch(asDnsError)

  /** Ingresses that no record has: of a call that was not finished. */
  const orphans = (): readonly { readonly id: string; readonly hostname: string }[] =>
    [...table.ingresses].flatMap(([id, { hostname }]) =>
      table.records.get(hostname)?.ingress === id ? [] : [{ id, hostname }],
    )

  const removeIngress = async (id: string): Promise<void> => {
    try {
      await ingresses.remove(id)
    } catch (error) {
      // By somebody else, or by this call, of which only the response was lost.
      await table.refresh()
      if (table.ingresses.has(id)) throw error
    }
  }

  /** Writes the document of a name, unless another process has written it since it was read. */
  const commit = async (hostname: string, read: ExposedRecord | undefined, next?: ExposedRecord): Promise<void> => {
    for (let attempt = 0; ; attempt++) {
      await table.refresh()
      if (!isSame(table.records.get(hostname), read)) {
        throw new RevisionConflict({ revision: table.revision })
      }
      try {
        await storage.commit({
          ifRevision: table.revision,
          put: next === undefined ? [] : [{ kind: "record", ...next }],
          remove: next === undefined ? [{ kind: "record", id: hostname }] : [],
        })
        return await table.refresh()
      } catch (error) {
        // Most commits are about something else.
        if (tagOf(error) !== "RevisionConflict" || attempt >= 20) throw error
      }
    }
  }

  /** Brings a name to what is stored of it. */
  const restore = async (hostname: string): Promise<void> => {
    await table.refresh()
    const routes = await Promise.allSettled(
      orphans().flatMap(({ id, hostname: of }) => (of === hostname ? [removeIngress(id)] : [])),
    )
    const record = table.records.get(hostname)
    await putDns(hostname, record === undefined ? [] : [dnsRecordOf(record)])
    for (const route of routes) if (route.status === "rejected") throw route.reason
  }

  /** Changes a name to a request, or removes it; if a step fails, all before it are undone. */
  const change = async (hostname: string, request: ValidRequest | undefined): Promise<ExposedRecord | undefined> => {
    const read = table.records.get(hostname)
    const owner = request?.owner ?? read?.owner
    const scope = owner === undefined ? {} : { owner }
    const undo: (() => Promise<unknown>)[] = [() => restore(hostname)]
    for (const orphan of orphans()) if (orphan.hostname === hostname) await removeIngress(orphan.id)
    try {
      let ingress: string | undefined
      const old = table.ingresses.get(read?.ingress ?? "")?.ingress
      if (request !== undefined) {
        const { port, target, protocol } = request
        const tls = isTls(hostname)
        const name = await ingressName(hostname)
        const document = ingressOf(name, hostname, { target, port: port ?? 80, protocol }, tls)
        if (port === undefined) {
          // Nothing would ask otherwise whether the name is reserved, allowed and free.
          if (read === undefined) await ingresses.create(document, { ...scope, dryRun: true })
        } else if (old === undefined) {
          ingress = (await ingresses.create(document, scope)).ingress.id
        } else {
          const { route } = exposedOf(read!, old, undefined)
          const former = route && ingressOf(name, hostname, route, old.rules[0]!.tls ?? false)
          undo.push(async () => {
            await table.refresh()
            // Whatever has a later version is not of this call.
            const ifVersion = old.version + 1
            const isOurs = table.ingresses.get(old.id)?.ingress.version === ifVersion
            if (former && isOurs) await ingresses.replace(old.id, former, { ...scope, ifVersion })
          })
          await ingresses.replace(old.id, document, scope)
          ingress = old.id
        }
      }
      const time = now()
      const content = request?.port === undefined ? (request?.target ?? "") : address
      const next: ExposedRecord | undefined = request && {
        id: hostname,
        ...scope,
        type: content.includes(":") ? "AAAA" : "A",
        content,
        ...(ingress === undefined ? {} : { ingress }),
        createdAt: read?.createdAt ?? time,
        updatedAt: time,
      }
      await putDns(hostname, next === undefined ? [] : [dnsRecordOf(next)])
      await commit(hostname, read, next)
      // The route last: a process that is killed before leaves one that belongs to nothing, which the next start removes.
      undo.push(() => commit(hostname, next, read))
      // Removed meanwhile, by another process that started; or never in this storage.
      if (ingress !== undefined && !table.ingresses.has(ingress))
        throw new NotFound({ kind: "ingress", reference: ingress })
      if (old !== undefined && ingress === undefined) await removeIngress(old.id)
      await table.refresh()
      return next
    } catch (error) {
      for (const step of undo.toReversed()) {
        await step().catch((cause: unknown) => onEvent({ type: "error", during: "undo", name: hostname, cause }))
      }
      throw error
    }
  }

  return {
    address,
    domain,
    expose: (request) =>
      inTurn(async () => {
        const valid = readRequest(request, { address, domain, allowedTargets, isAllowed })
        await table.refresh()
        const record = table.records.get(valid.hostname)
        if (record !== undefined && valid.owner !== undefined && record.owner !== valid.owner) {
          throw new HostnameInUse({ field: "name", hostname: valid.hostname, port: isTls(valid.hostname) ? 443 : 80 })
        }
        return exposed((await change(valid.hostname, valid))!)
      }),
    unexpose: (name, { owner } = {}) =>
      inTurn(async () => {
        const hostname = readName(name, domain)
        await table.refresh()
        const record = table.records.get(hostname)
        if (record === undefined || (owner !== undefined && record.owner !== owner)) {
          throw new NotFound({ kind: "record", reference: hostname })
        }
        await change(hostname, undefined)
      }),
    list: async ({ owner } = {}) => {
      await table.refresh()
      return [...table.records.values()]
        .filter((record) => owner === undefined || record.owner === owner)
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
        .map(exposed)
    },
    start: () =>
      inTurn(async () => {
        await table.refresh()
        const repairs: ExposeRepair[] = []
        const unreadable = table.unreadable.filter(({ kind }) => kind !== "grant")
        for (const { kind, id } of unreadable) onEvent({ type: "unreadable", kind: kind as "record" | "ingress", id })
        const isWhole = unreadable.length === 0
        if (isWhole) {
          for (const { id, hostname } of orphans()) {
            await table.refresh()
            // Another process has finished what it was doing.
            if (table.records.get(hostname)?.ingress === id) continue
            await removeIngress(id)
            repairs.push({ name: hostname, what: "route" })
          }
          for (const record of table.records.values()) {
            if (record.ingress === undefined || table.ingresses.has(record.ingress)) continue
            await putDns(record.id, [])
            await commit(record.id, record)
            repairs.push({ name: record.id, what: "record" })
          }
        }
        const listed = Map.groupBy(await listDns(), ({ name }) => name)
        const unknown = [...listed].filter(([, records]) => records.some(({ type }) => type !== "TXT"))
        const names = new Set([...table.records.keys(), ...(isWhole ? unknown.map(([name]) => name) : [])])
        const wantedOf = (name: string): readonly DnsRecord[] => {
          const record = table.records.get(name)
          return record === undefined ? [] : [dnsRecordOf(record)]
        }
        for (const name of [...names].toSorted()) {
          if (contentsOf(wantedOf(name)) === contentsOf(listed.get(name) ?? [])) continue
          let wanted: readonly DnsRecord[]
          do {
            // What another process stores meanwhile counts.
            await table.refresh()
            wanted = wantedOf(name)
            await putDns(name, wanted)
            await table.refresh()
          } while (contentsOf(wantedOf(name)) !== contentsOf(wanted))
          repairs.push({ name, what: "dns" })
        }
        return repairs
      }),
  }
}

const dnsRecordOf = ({ id, type, content }: ExposedRecord): DnsRecord => ({ name: id, type, content })

/** By tag: a package may be there twice, and then its classes are. */
const tagOf = (error: unknown): unknown => (error as { readonly _tag?: unknown } | null | undefined)?._tag

const DNS_ERRORS: ReadonlySet<unknown> = new Set<DnsError["_tag"]>(["DnsFailed", "RecordInUse", "RecordInvalid"])

/** By fields: a storage may give them in another order. */
const isSame = (a: ExposedRecord | undefined, b: ExposedRecord | undefined): boolean =>
  (a === undefined) === (b === undefined) && COMPARED.every((field) => a?.[field] === b?.[field])

const COMPARED = ["owner", "type", "content", "ingress", "createdAt", "updatedAt"] as const

const contentsOf = (records: readonly DnsRecord[]): string =>
  records
    .map(({ type, content }) => `${type} ${content}`)
    .toSorted()
    .join("\n")

const checkExposeOptions = (options: ExposeOptions): void => {
  checkOptions(
    "createExpose",
    options,
    {
      ingresses: accept.object,
      storage: accept.object,
      dns: accept.object,
      address: (value) =>
        typeof value === "string" && canonicalAddress(value) !== undefined
          ? undefined
          : "an IP address in its usual form",
      domain: acceptDomain,
      allowedTargets: (value) =>
        Array.isArray(value) && value.length > 0
          ? accept.array(accept.string)(value)
          : "an array of at least one network",
      certificates: accept.array((value) =>
        typeof value === "string" && isDnsName(value) ? undefined : "a full name in lower case, or *. and one",
      ),
      tls: accept.boolean,
      onEvent: accept.function,
      now: accept.function,
    },
    { required: ["ingresses", "storage", "dns", "address", "allowedTargets"] },
  )
}

const acceptDomain = (value: unknown): string | undefined =>
  typeof value === "string" && isDnsName(value) && !value.startsWith("*")
    ? undefined
    : "a full name in lower case, without a final dot"
