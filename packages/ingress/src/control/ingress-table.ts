import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import type { IngressView } from "../routes/ingress-view.ts"
import type { Grant, StorageChanges, StorageCommit, UnreadableDocument } from "../storage/ingress-storage.ts"
import { clashes } from "./clashes.ts"

/** A rule, and the ingress that it is of. */
export interface PlacedRule {
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
  readonly clashWith: (
    rule: DeclaredRule,
    owner: string | undefined,
    except: string | undefined,
  ) => PlacedRule | undefined
  /** What a storage gave. Older than what is there: ignored, unless the storage itself went back. */
  readonly update: (changes: StorageChanges, isBack?: boolean) => void
  /** What was just committed. */
  readonly committed: (commit: Pick<StorageCommit, "put" | "remove">, revision: number) => void
}

export const makeIngressTable = (): IngressTable => {
  const byId = new Map<string, DeclaredIngress>()
  const ids = new Map<string, string>()
  const grants = new Map<string, Grant>()
  // `http 443` → `*.example.com` → rules. Without a hostname: "".
  const listeners = new Map<string, Map<string, Set<PlacedRule>>>()
  const placedBy = new Map<string, readonly PlacedRule[]>()
  let revision = 0
  let unreadable: readonly UnreadableDocument[] = []
  let view: IngressView | undefined

  const forget = (id: string): void => {
    const before = byId.get(id)
    if (before === undefined) return
    byId.delete(id)
    if (ids.get(before.name) === id) ids.delete(before.name)
    for (const placed of placedBy.get(id)!) {
      const [listener, wildcard] = placeOf(placed.rule)
      const hostnames = listeners.get(listener)!
      const rules = hostnames.get(wildcard)!
      rules.delete(placed)
      if (rules.size === 0) hostnames.delete(wildcard)
      if (hostnames.size === 0) listeners.delete(listener)
    }
    placedBy.delete(id)
  }

  const remember = (ingress: DeclaredIngress): void => {
    forget(ingress.id)
    byId.set(ingress.id, ingress)
    ids.set(ingress.name, ingress.id)
    const placed = ingress.rules.map((rule) => ({ ingress, rule }))
    placedBy.set(ingress.id, placed)
    for (const each of placed) {
      const [listener, wildcard] = placeOf(each.rule)
      const hostnames = got(listeners, listener, () => new Map<string, Set<PlacedRule>>())
      got(hostnames, wildcard, () => new Set<PlacedRule>()).add(each)
    }
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
    clashWith: (rule, owner, except) => {
      const port = matchPort(rule)
      const wildcard = rule.match.hostname?.wildcard ?? ""
      for (const protocol of ["http", "tcp", "udp"] as const) {
        const hostnames = listeners.get(`${protocol} ${port}`)
        if (hostnames === undefined) continue
        // Of rules of HTTP only those of one hostname are in each other's way: there may be thousands on a port.
        const isOne = protocol === "http" && rule.match.protocol === "http"
        for (const rules of isOne ? [hostnames.get(wildcard) ?? []] : hostnames.values()) {
          for (const placed of rules) {
            const { ingress } = placed
            if (ingress.id !== except && clashes(rule, placed.rule, ingress.owner === owner)) return placed
          }
        }
      }
      return undefined
    },
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

const placeOf = (rule: DeclaredRule): readonly [listener: string, wildcard: string] => [
  `${rule.match.protocol} ${matchPort(rule)}`,
  rule.match.hostname?.wildcard ?? "",
]

const got = <Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value => {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
