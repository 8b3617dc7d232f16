import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import type { IngressView } from "../routes/ingress-view.ts"
import type { Grant, StorageChanges, StorageCommit, UnreadableDocument } from "../storage/ingress-storage.ts"
import { clashIndex } from "./clashes.ts"
import type { ClashIndex } from "./clashes.ts"

/** A rule, and the ingress that it is of. */
interface PlacedRule {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
}

/** What is stored, in memory: by id, by name, and by what each rule takes. */
export interface IngressTable {
  readonly view: () => IngressView
  readonly revision: () => number
  readonly unreadable: () => readonly UnreadableDocument[]
  readonly byId: ReadonlyMap<string, DeclaredIngress>
  readonly named: (name: string) => DeclaredIngress | undefined
  readonly grants: ReadonlyMap<string, Grant>
  /** A rule of another ingress than `except` that takes the same requests, or the same port. */
  readonly clashWith: ClashIndex<PlacedRule>["find"]
  /** What a storage gave. Older than what is there: ignored, unless the storage itself went back. */
  readonly update: (changes: StorageChanges, isBack?: boolean) => void
  /** What was just committed. */
  readonly committed: (commit: Pick<StorageCommit, "put" | "remove">, revision: number) => void
}

export const makeIngressTable = (): IngressTable => {
  const byId = new Map<string, DeclaredIngress>()
  const ids = new Map<string, string>()
  const grants = new Map<string, Grant>()
  const index = clashIndex<PlacedRule>()
  const placedBy = new Map<string, readonly PlacedRule[]>()
  let revision = 0
  let unreadable: readonly UnreadableDocument[] = []
  let view: IngressView | undefined

  const forget = (id: string): void => {
    const before = byId.get(id)
    if (before === undefined) return
    byId.delete(id)
    if (ids.get(before.name) === id) ids.delete(before.name)
    for (const placed of placedBy.get(id)!) index.remove(placed)
    placedBy.delete(id)
  }

  const remember = (ingress: DeclaredIngress): void => {
    forget(ingress.id)
    byId.set(ingress.id, ingress)
    ids.set(ingress.name, ingress.id)
    const placed = ingress.rules.map((rule) => ({ ingress, rule }))
    placedBy.set(ingress.id, placed)
    for (const each of placed) index.add(each)
  }

  const write = ({ put, remove }: Pick<StorageCommit, "put" | "remove">): void => {
    for (const { kind, id } of remove) {
      if (kind === "ingress") forget(id)
      else if (kind === "grant") grants.delete(id)
    }
    // Names may change hands in one commit: the old holder lets go first.
    for (const document of put) if (document.kind === "ingress") forget(document.id)
    for (const document of put) {
      if (document.kind === "ingress") {
        const { kind: _, ...ingress } = document
        remember(ingress)
      } else if (document.kind === "grant") {
        const { kind: _, ...grant } = document
        grants.set(grant.id, grant)
      }
    }
  }

  return {
    view: () => (view ??= { revision, ingresses: [...byId.values()], grants: [...grants.values()] }),
    revision: () => revision,
    unreadable: () => unreadable,
    byId,
    named: (name) => byId.get(ids.get(name) ?? ""),
    grants,
    clashWith: index.find,
    update: (changes, isBack = false) => {
      if (changes.revision < revision && !isBack) return
      unreadable = changes.unreadable
      // A storage that cannot tell what has changed gives all of it each time.
      if (changes.revision === revision && revision !== 0 && !isBack) return
      if (changes.whole) {
        for (const id of byId.keys()) forget(id)
        grants.clear()
      }
      write({ put: changes.documents, remove: changes.removed })
      revision = changes.revision
      view = undefined
    },
    committed: (commit, at) => {
      // Somebody has read it meanwhile, perhaps with what came after it.
      if (at <= revision) return
      write(commit)
      revision = at
      view = undefined
    },
  }
}
