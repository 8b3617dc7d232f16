import { defineGrammar } from "@project-ingress/hostname"
import { createIngresses, RevisionConflict } from "@project-ingress/ingress"
import type { DocumentKind, IngressStorage, StorageCommit, StoredDocument } from "@project-ingress/ingress"
import type { DnsProvider, DnsRecord } from "@project-ingress/ingress/dns"
import { RecordInUse } from "@project-ingress/ingress/dns"
import type { ExposeOptions } from "@project-ingress/ingress/expose"
import { memoryStore } from "@project-ingress/router/stores/memory"

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

/** Ingresses without fronts, whose calls can be made to fail. */
export const testIngresses = (
  storage: IngressStorage,
  faults: Faults = { next: new Map() },
  reservedHostnames: readonly string[] = [],
): ExposeOptions["ingresses"] => {
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const ingresses = createIngresses({ storage, grammar, store: memoryStore(), reservedHostnames, now: () => 1_000 })
  return {
    create: (document, options) =>
      faulty(faults, options?.dryRun === true ? "ingresses.create dryRun" : "ingresses.create", () =>
        ingresses.create(document, options),
      ),
    replace: (...call) => faulty(faults, "ingresses.replace", () => ingresses.replace(...call)),
    remove: (...call) => faulty(faults, "ingresses.remove", () => ingresses.remove(...call)),
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
