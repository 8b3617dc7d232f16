import { quietly, randomId, within } from "@project-ingress/router/internal"
import { decodeIngress } from "../resource/decode-ingress.ts"
import { IngressInvalid, NameTaken, NotFound, TargetNotFound, VersionConflict } from "../resource/errors.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { ingressStore } from "../routes/ingress-store.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import { askStorage } from "./ask-storage.ts"
import { makeChanges } from "./changes.ts"
import type { Decided } from "./changes.ts"
import { makePrepareExport } from "./export-input.ts"
import { findIngress } from "./find-ingress.ts"
import { freshStore } from "./fresh-store.ts"
import { checkCall, checkIngressesOptions, checkText } from "./ingresses-options.ts"
import type { ChangeOptions, Changed, IngressEvent, Ingresses, IngressesOptions } from "./ingresses.ts"
import { readJournal } from "./journal.ts"
import { makeLookUp } from "./look-up.ts"
import { isSame } from "./port-settings.ts"
import { makePrepareIngress } from "./prepare-ingress.ts"
import type { Draft } from "./prepare-ingress.ts"
import { registryFront, undoWrites } from "./registry-front.ts"
import { hostnameRules } from "./reserved.ts"
import { statusOf } from "./status-of.ts"
import { makeSyncedTable } from "./synced-table.ts"
import { findTarget, targetKey } from "./targets.ts"
import type { RecordedTarget } from "./targets.ts"

/** The length of an id: 100 random bits. */
const ID_LENGTH = 20

/**
 * The ingresses of a platform: checked, carried out at every front, and stored; or nothing is changed.
 *
 * ```ts
 * const ingresses = createIngresses({ storage: memoryStorage(), grammar, store: registry, registry })
 * await ingresses.start()
 * const router = createRouter({ grammar, store: ingresses.store, providers, signingKey })
 * await ingresses.create({ name: "my-api", rules: [{ match: { hostname: "api.example.com" }, target: { machine: "mach_1", port: 8080 } }] })
 * ```
 *
 * Besides an `IngressError` a call rejects with `LookupUnavailable` where a store cannot tell now, with `StorageUnavailable`, with
 * `RevisionConflict` where other processes were always faster, and with `DocumentRefused` if its storage cannot hold it.
 *
 * @throws {TypeError} if an option is unknown, missing or of the wrong type
 */
export const createIngresses = (options: IngressesOptions): Ingresses => {
  checkIngressesOptions(options)
  const { storage, grammar, store: inner, registry, fronts = [], publicPorts = {} } = options
  const { pollMs = 1_000, stepTimeoutMs: timeoutMs = 30_000, now = () => Date.now() } = options
  const onEvent = quietly<IngressEvent>(options.onEvent)
  const hostnames = hostnameRules(options)
  const lookUp = makeLookUp(inner, timeoutMs, now)
  const table = makeSyncedTable({ storage, pollMs, timeoutMs, onEvent })
  const hasFronts = fronts.length > 0
  const prepare = makePrepareIngress({ ...options, hostnames, lookUp, hasFronts, timeoutMs }, table)
  const { address, internalZone, authorizeUrl } = options
  const changes = makeChanges({
    table,
    storage,
    fronts,
    registryFronts:
      registry === undefined
        ? undefined
        : { set: registryFront(registry, "set"), clear: registryFront(registry, "clear") },
    undo: async (writes) => {
      if (registry !== undefined) await undoWrites(registry, writes, table.view().ingresses)
    },
    prepareExport: makePrepareExport({
      grammar,
      hostnames,
      lookUp,
      address,
      internalZone,
      checksUrls: authorizeUrl !== undefined,
      timeoutMs,
    }),
    timeoutMs,
    onEvent,
  })
  const declared = ingressStore({ grammar, view: table.view, inner, publicPorts, now })
  const store = freshStore(declared, table)
  let isDisposed = false

  const begin = (): void => {
    if (isDisposed) throw new Error("createIngresses: it was disposed")
  }
  const current = async (): Promise<void> => {
    begin()
    // The first read says why it fails; later the last one counts.
    if (table.age().ageMs === Infinity) await table.refresh()
    else await table.fresh()
  }

  const written = (ingress: DeclaredIngress, before: DeclaredIngress | undefined): Decided<DeclaredIngress> => {
    const { ingresses, grants } = table.view()
    return {
      commit: { put: [{ kind: "ingress", ...ingress }], remove: [] },
      ingresses:
        before === undefined
          ? [...ingresses, ingress]
          : ingresses.map((each) => (each.id === ingress.id ? ingress : each)),
      grants,
      written: ingress,
      result: ingress,
    }
  }

  const checkName = (name: string, id: string | undefined): void => {
    const other = table.named(name)
    if (other !== undefined && other.id !== id) throw new NameTaken({ ingress: name })
  }

  const changed = async (
    { owner, dryRun: isDryRun = false }: ChangeOptions,
    decide: () => Promise<Decided<DeclaredIngress>>,
  ): Promise<Changed> => {
    const { result, diffs } = await changes.run(decide, { isDryRun })
    // The others are of files that all owners share.
    return { ingress: shown(result), diffs: diffs.filter(({ front }) => owner === undefined || front === "router") }
  }

  const grantTarget = async (owner: string, target: unknown): Promise<Grant["target"]> => {
    const given = (typeof target === "object" && target !== null ? target : {}) as Readonly<Record<string, unknown>>
    const [kind, ...more] = Object.keys(given)
    if ((kind !== "machine" && kind !== "project") || more.length > 0) {
      throw new IngressInvalid({ field: "target", accepted: "{ machine } or { project }" })
    }
    const field = `target.${kind}`
    const reference = checkText(field, given[kind])
    const { findMachine = (id: string) => id } = options
    const id = kind === "project" ? reference : await within(timeoutMs, () => findMachine(reference, { owner }))
    const found = (kind === "project" ? { project: id } : { machine: id }) as Grant["target"]
    const known = typeof id === "string" ? lowerCase(found) : undefined
    const record =
      known && (await findTarget(lookUp, targetKey({ kind, weight: 1, ...known } as unknown as RecordedTarget)))
    // This owner may not know of one that is another's.
    if (known === undefined || record?.owner !== owner) throw new TargetNotFound({ field, kind, reference })
    return known
  }

  const visibleGrant = (id: string, owner: string | undefined): Grant => {
    const grant = table.grants.get(id)
    if (grant === undefined || (owner !== undefined && grant.owner !== owner)) {
      throw new NotFound({ kind: "grant", reference: id.slice(0, 256) })
    }
    return grant
  }

  return {
    create: async (document, given = {}) => {
      begin()
      checkCall("create", given, ["owner", "dryRun"])
      const { owner } = given
      const decoded = await decodeIngress(document)
      const id = randomId(ID_LENGTH)
      return changed(given, async () => {
        checkName(decoded.name, undefined)
        const draft = { ...decoded, id: undefined, ...(owner === undefined ? {} : { owner }) }
        const prepared: Draft = await prepare(draft, owner === undefined)
        const at = now()
        return written({ ...prepared, id, version: 1, createdAt: at, updatedAt: at }, undefined)
      })
    },

    replace: async (reference, document, given = {}) => {
      begin()
      checkCall("replace", given, ["owner", "ifVersion", "dryRun"])
      const { owner } = given
      const decoded = await decodeIngress(document)
      return changed(given, async () => {
        const before = findIngress(table, reference, owner)
        checkVersion(before, given)
        checkName(decoded.name, before.id)
        const draft: DeclaredIngress = { ...before, ...decoded, rules: withValues(decoded.rules, before.rules) }
        const prepared = await prepare(draft, owner === undefined)
        return written({ ...prepared, version: before.version + 1, updatedAt: now() }, before)
      })
    },

    remove: async (reference, given = {}) => {
      begin()
      checkCall("remove", given, ["owner", "ifVersion", "dryRun"])
      const { diffs } = await changes.run(
        async () => {
          const before = findIngress(table, reference, given.owner)
          checkVersion(before, given)
          const { ingresses, grants } = table.view()
          return {
            commit: { put: [], remove: [{ kind: "ingress", id: before.id }] },
            ingresses: ingresses.filter(({ id }) => id !== before.id),
            grants,
            result: undefined,
          }
        },
        { isDryRun: given.dryRun === true },
      )
      return { diffs }
    },

    read: async (reference, given = {}) => {
      checkCall("read", given, ["owner"])
      await current()
      return shown(findIngress(table, reference, given.owner))
    },

    list: async (given = {}) => {
      const { cursor = "", limit = 100, ...scope } = given
      checkCall("list", scope, ["owner"])
      if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
        throw new IngressInvalid({ field: "limit", accepted: "an integer from 1 to 1000" })
      }
      if (!/^[a-z\d._-]{0,256}$/.test(cursor)) throw new IngressInvalid({ field: "cursor", accepted: "next of a page" })
      await current()
      const { ingresses } = table.view()
      const visible = ingresses.filter(
        ({ id, owner }) => id > cursor && (scope.owner === undefined || owner === scope.owner),
      )
      const page = visible.toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
      return { ingresses: page.map(shown), ...(visible.length > limit ? { next: page.at(-1)!.id } : {}) }
    },

    status: async (reference, given = {}) => {
      checkCall("status", given, ["owner"])
      await current()
      const { states } = changes
      const hasRegistry = registry !== undefined
      const parts = { grammar, lookUp, store, fronts, states, hasRegistry, publicPorts, timeoutMs }
      return statusOf(parts, findIngress(table, reference, given.owner), table.view().grants)
    },

    grant: async (given) => {
      begin()
      const owner = checkText("owner", given.owner)
      const to = checkText("to", given.to)
      if (owner === to) throw new IngressInvalid({ field: "to", accepted: "another owner" })
      const { result } = await changes.run(async () => {
        const target = await grantTarget(owner, given.target)
        const { ingresses, grants } = table.view()
        const same = grants.find((each) => each.owner === owner && each.to === to && isSame(each.target, target))
        const grant = same ?? { id: randomId(ID_LENGTH), owner, to, target, createdAt: now() }
        return {
          commit: { put: [{ kind: "grant" as const, ...grant }], remove: [] },
          // Another array: settings of ports do not hang on grants.
          ingresses: [...ingresses],
          grants: same === undefined ? [...grants, grant] : grants,
          result: grant,
        }
      })
      return structuredClone(result)
    },

    revokeGrant: async (id, given = {}) => {
      begin()
      checkCall("revokeGrant", given, ["owner"])
      await changes.commitFirst(async () => {
        const grant = visibleGrant(id, given.owner)
        const { ingresses, grants } = table.view()
        return {
          commit: { put: [], remove: [{ kind: "grant", id: grant.id }] },
          ingresses,
          grants: grants.filter((each) => each.id !== grant.id),
          result: undefined,
        }
      })
    },

    listGrants: async (given = {}) => {
      checkCall("listGrants", given, ["owner"])
      await current()
      const { owner } = given
      const visible = table
        .view()
        .grants.filter((grant) => owner === undefined || grant.owner === owner || grant.to === owner)
      return structuredClone(visible.toSorted((a, b) => (a.id < b.id ? -1 : 1)))
    },

    reconcile: async () => {
      begin()
      return changes.reconcile()
    },

    start: async () => {
      begin()
      const note = storage.marked === undefined ? undefined : await askStorage(timeoutMs, () => storage.marked!())
      let isRead = false
      const left = () => {
        isRead = true
        if (note === undefined) return []
        onEvent({ type: "interrupted", note })
        return readJournal(note)
      }
      await changes.reconcile(left).catch((cause: unknown) => {
        // What a front failed with is an event already.
        if (!isRead) throw cause
      })
      return { unreadable: table.unreadable() }
    },

    store,

    dispose: async () => {
      if (isDisposed) return
      isDisposed = true
      await changes.idle()
      for (const front of fronts) await front.dispose?.()
      await storage.dispose?.()
    },
  }
}

/** @throws {VersionConflict} */
const checkVersion = ({ version }: DeclaredIngress, { ifVersion }: ChangeOptions): void => {
  if (ifVersion === undefined || ifVersion === version) return
  throw new VersionConflict({ expected: ifVersion, actual: version })
}

/** As others may see it: a copy, without the values of required headers. */
const shown = (ingress: DeclaredIngress): DeclaredIngress =>
  structuredClone({
    ...ingress,
    rules: ingress.rules.map(({ requireHeader, ...rule }) =>
      requireHeader === undefined
        ? rule
        : { ...rule, requireHeader: { name: requireHeader.name, sha256: requireHeader.sha256 } },
    ),
  })

/** What was read has no values of required headers; whoever writes it back keeps those that are stored. */
const withValues = (rules: readonly DeclaredRule[], before: readonly DeclaredRule[]): readonly DeclaredRule[] => {
  const known = before.flatMap(({ requireHeader }) => requireHeader ?? [])
  return rules.map((rule) => {
    const { requireHeader } = rule
    if (requireHeader === undefined || requireHeader.value !== undefined) return rule
    const same = known.find(({ name, sha256 }) => name === requireHeader.name && sha256 === requireHeader.sha256)
    return same === undefined ? rule : { ...rule, requireHeader: same }
  })
}

const lowerCase = (target: Grant["target"]): Grant["target"] =>
  "machine" in target ? { machine: target.machine.toLowerCase() } : { project: target.project.toLowerCase() }
