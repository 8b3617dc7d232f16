import {
  decodeIngress,
  HostnameInUse,
  HostnameReserved,
  NameTaken,
  NotFound,
  RevisionConflict,
  VersionConflict,
} from "@project-ingress/ingress"
import type {
  DeclaredIngress,
  DocumentKind,
  IngressStorage,
  StorageCommit,
  StoredDocument,
} from "@project-ingress/ingress"
import type { DnsProvider, DnsRecord } from "@project-ingress/ingress/dns"
import { RecordInUse } from "@project-ingress/ingress/dns"
import type { ExposeOptions } from "@project-ingress/ingress/expose"

/** Makes a call fail: before it does anything, or after it has done it, as a process that is killed there would leave it. */
export interface Faults {
  /** `dns.put`, `ingresses.create` … by name, with the number of calls that still go well before. */
  readonly next: Map<string, { skip: number; when: "before" | "after" }>
}

const faulty = async <A>(faults: Faults, call: string, work: () => Promise<A>): Promise<A> => {
  const fault = faults.next.get(call)
  if (fault === undefined || fault.skip-- > 0) return work()
  faults.next.delete(call)
  if (fault.when === "after") await work()
  throw new Error(`${call} fails ${fault.when}`)
}

/** A storage in memory, which several processes may share. It gives what changed, or with `whole` always everything. */
export const memoryStorage = (faults: Faults = { next: new Map() }, { whole = false } = {}) => {
  const commits: Pick<StorageCommit, "put" | "remove">[] = []
  const documents = new Map<string, StoredDocument>()
  const key = (kind: DocumentKind, id: string): string => `${kind} ${id}`
  const unreadable: { kind: DocumentKind; id: string; reason: string }[] = []
  const commit = async ({ ifRevision, put, remove }: StorageCommit): Promise<number> => {
    if (ifRevision !== commits.length) throw new RevisionConflict({ revision: commits.length })
    for (const { kind, id } of remove) documents.delete(key(kind, id))
    for (const document of put) documents.set(key(document.kind, document.id), structuredClone(document))
    return commits.push({ put, remove })
  }
  const storage: IngressStorage = {
    read: async (since) => {
      const isWhole = whole || since === 0
      const later = isWhole ? [] : commits.slice(since)
      const touched = new Set(
        later.flatMap(({ put, remove }) => [...put, ...remove].map(({ kind, id }) => key(kind, id))),
      )
      return {
        revision: commits.length,
        whole: isWhole,
        documents: structuredClone([...documents].flatMap(([id, each]) => (isWhole || touched.has(id) ? [each] : []))),
        removed: later.flatMap(({ remove }) => remove).filter(({ kind, id }) => !documents.has(key(kind, id))),
        unreadable,
      }
    },
    commit: (given) =>
      given.put.some(({ kind }) => kind === "record") || given.remove.some(({ kind }) => kind === "record")
        ? faulty(faults, "storage.commit", () => commit(given))
        : commit(given),
  }
  return { storage, documents, unreadable }
}

/** Ingresses without fronts: documents are decoded, names and hostnames are unique, and what is stored is what there is. */
export const fakeIngresses = (
  storage: IngressStorage,
  faults: Faults,
  reserved: readonly string[] = [],
): ExposeOptions["ingresses"] => {
  let made = 0
  const all = async () => {
    const { revision, documents } = await storage.read(0)
    return {
      revision,
      ingresses: documents.flatMap((each) => (each.kind === "ingress" ? [each as DeclaredIngress] : [])),
    }
  }
  const checked = async (document: unknown, id: string) => {
    const { name, rules } = await decodeIngress(document)
    const { ingresses, revision } = await all()
    for (const [at, { match }] of rules.entries()) {
      const hostname = match.hostname!.text
      const field = `rules.${at}.match.hostname`
      if (reserved.includes(hostname)) throw new HostnameReserved({ field, hostname })
      const other = ingresses.find(
        (each) => each.id !== id && each.rules.some((rule) => rule.match.hostname?.text === hostname),
      )
      if (other !== undefined) throw new HostnameInUse({ field, hostname, port: 80, ingress: other.name })
    }
    if (ingresses.some((each) => each.id !== id && each.name === name)) throw new NameTaken({ ingress: name })
    return { name, rules, revision }
  }
  const put = async (ingress: DeclaredIngress, revision: number) => {
    await storage.commit({ ifRevision: revision, put: [{ kind: "ingress", ...ingress }], remove: [] })
    return { ingress, diffs: [] }
  }
  const find = async (reference: string, owner: string | undefined): Promise<DeclaredIngress> => {
    const found = (await all()).ingresses.find(({ id }) => id === reference)
    if (found === undefined || (owner !== undefined && found.owner !== owner))
      throw new NotFound({ kind: "ingress", reference })
    return found
  }
  return {
    create: (document, { owner, dryRun = false } = {}) =>
      faulty(faults, dryRun ? "ingresses.create dryRun" : "ingresses.create", async () => {
        const id = `ing${++made}`
        const { revision, ...fields } = await checked(document, id)
        const ingress = {
          id,
          version: 1,
          createdAt: 1_000,
          updatedAt: 1_000,
          ...fields,
          ...(owner === undefined ? {} : { owner }),
        }
        return dryRun ? { ingress, diffs: [] } : put(ingress, revision)
      }),
    replace: (reference, document, { owner, ifVersion } = {}) =>
      faulty(faults, "ingresses.replace", async () => {
        const old = await find(reference, owner)
        if (ifVersion !== undefined && old.version !== ifVersion)
          throw new VersionConflict({ expected: ifVersion, actual: old.version })
        const { revision, ...fields } = await checked(document, old.id)
        return put({ ...old, ...fields, version: old.version + 1 }, revision)
      }),
    remove: (reference, { owner } = {}) =>
      faulty(faults, "ingresses.remove", async () => {
        const { id } = await find(reference, owner)
        await storage.commit({ ifRevision: (await all()).revision, put: [], remove: [{ kind: "ingress", id }] })
      }),
  }
}

/** A zone in memory. `foreign` are names that somebody else has. */
export const fakeDns = (faults: Faults, foreign: readonly string[] = []) => {
  const records = new Map<string, readonly DnsRecord[]>()
  const dns: DnsProvider = {
    name: "fake",
    list: async (name) => [...records.values()].flat().filter((record) => name === undefined || record.name === name),
    put: (name, wanted) =>
      faulty(faults, "dns.put", async () => {
        if (wanted.length > 0 && foreign.includes(name)) throw new RecordInUse({ provider: "fake", record: name })
        if (wanted.length === 0) records.delete(name)
        else records.set(name, wanted)
      }),
  }
  return { dns, records }
}
