import type { ExportInput, Front, FrontPlan } from "../fronts/front.ts"
import { secretsOf, withoutSecrets } from "../fronts/secrets.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import type { IngressView } from "../routes/ingress-view.ts"
import { RevisionConflict } from "../storage/ingress-storage.ts"
import type { Grant, IngressStorage, StorageCommit } from "../storage/ingress-storage.ts"
import { oneByOne } from "../storage/one-by-one.ts"
import { changeMark } from "./change-mark.ts"
import type { PreparedExport } from "./export-input.ts"
import { frontRun, planFront } from "./front-run.ts"
import type { FrontRun, PlannedFront } from "./front-run.ts"
import type { IngressEvent } from "./ingresses.ts"
import { writeJournal } from "./journal.ts"
import type { RegistryFront } from "./registry-front.ts"
import type { PortWrite } from "./registry-row.ts"
import { isSame } from "./port-settings.ts"
import type { SyncedTable } from "./synced-table.ts"

/** Attempts where other processes commit meanwhile. */
const ATTEMPTS = 10

/** What a change comes to, decided on what is stored. */
export interface Decided<A> {
  readonly commit: Omit<StorageCommit, "ifRevision">
  readonly ingresses: readonly DeclaredIngress[]
  readonly grants: readonly Grant[]
  /** The ingress that is written; none for one that is removed. */
  readonly written?: DeclaredIngress
  readonly result: A
}

export type Diffs = readonly { readonly front: string; readonly diff: string }[]

/** What was last given to a front by this process. */
export interface FrontState extends PlannedFront {
  /** Version of each ingress, by id. */
  readonly versions: ReadonlyMap<string, number>
}

export interface Changes {
  /** Plans, validates, applies, reads back and commits; or takes everything back and rejects. One after the other. */
  readonly run: <A>(
    decide: () => Promise<Decided<A>>,
    options?: { readonly isDryRun?: boolean },
  ) => Promise<{ readonly result: A; readonly diffs: Diffs }>
  /** Commits first, then brings the fronts to it: for what has to end whatever a front says. */
  readonly commitFirst: <A>(decide: () => Promise<Decided<A>>) => Promise<A>
  /** Brings the fronts to what is stored. When that was read, `before` says what else may have to be taken back. */
  readonly reconcile: (before?: () => readonly PortWrite[]) => Promise<Diffs>
  readonly states: ReadonlyMap<string, FrontState>
  /** Resolves when what was begun has ended. */
  readonly idle: () => Promise<void>
}

type RegistryFronts = Readonly<Record<"set" | "clear", RegistryFront>>

export const makeChanges = (options: {
  readonly table: SyncedTable
  readonly storage: IngressStorage
  readonly fronts: readonly Front[]
  readonly registryFronts: RegistryFronts | undefined
  /** Takes back what was written to the registry and is not stored. */
  readonly undo: (writes: readonly PortWrite[]) => Promise<void>
  readonly prepareExport: (
    ingresses: readonly DeclaredIngress[],
    grants: readonly Grant[],
    fresh: readonly DeclaredIngress[] | "all",
  ) => Promise<PreparedExport>
  readonly timeoutMs: number
  readonly onEvent: (event: IngressEvent) => void
}): Changes => {
  const { table, storage, fronts, registryFronts, undo, prepareExport, timeoutMs, onEvent } = options
  const states = new Map<string, FrontState>()
  /** Something could not be taken back: the next change brings all of it to what is stored first. */
  let isDirty = false
  /** What could not be taken back from the registry, where nothing else shows it: rules that are not stored. */
  let unfinished: readonly PortWrite[] = []
  const { mark, tryMark, isUndisturbed } = changeMark(storage, timeoutMs, onEvent)
  const eraseMark = (): Promise<void> => tryMark(undefined)
  const inTurn = oneByOne()

  const planAt = async (
    front: Front,
    { input, withheld, ruleNumber }: PreparedExport,
    changed: string | undefined,
  ): Promise<PlannedFront> => {
    const { name } = front
    const wanted = new Set(secretsOf(input.ingresses))
    const former = secretsOf(table.view().ingresses).filter((secret) => !wanted.has(secret))
    const numbered = async (input: ExportInput, signal: { readonly signal: AbortSignal }): Promise<FrontPlan> => {
      const plan = await front.plan(input, signal)
      if (plan.problems.length === 0 && former.length === 0) return plan
      // With the numbers of rules as they were declared.
      const problems = plan.problems.map((problem) => ({
        ...problem,
        field: problem.field.replace(/^rules\.(\d+)/, (_, at) => `rules.${ruleNumber(problem.ingress, Number(at))}`),
      }))
      // A front knows the secrets that shall be, not those that go.
      return changedPlan(plan, problems, withoutSecrets(plan.diff, former))
    }
    const planned = await planFront({ name, plan: numbered }, input, changed, timeoutMs)
    return { ...planned, problems: [...withheld, ...planned.problems] }
  }

  const planFronts = async (decided: Decided<unknown>): Promise<readonly PlannedFront[]> => {
    if (fronts.length === 0) return []
    const { ingresses, grants, written } = decided
    const prepared = await prepareExport(ingresses, grants, written === undefined ? [] : [written])
    const planned: PlannedFront[] = []
    for (const front of fronts) planned.push(await planAt(front, prepared, written?.name))
    return planned
  }

  const planRegistry = async (
    phase: "set" | "clear",
    stored: readonly DeclaredIngress[],
    wanted: readonly DeclaredIngress[],
  ) => {
    if (registryFronts === undefined) return []
    const { name, plan } = registryFronts[phase]
    let writes: readonly PortWrite[] = []
    const planned = await planFront(
      {
        name,
        plan: async () => {
          const made = await plan(stored, wanted)
          writes = made.writes
          return made
        },
      },
      { ingresses: wanted, address: () => undefined },
      undefined,
      timeoutMs,
    )
    return [{ ...planned, writes }]
  }

  const remember = (planned: readonly PlannedFront[], ingresses: readonly DeclaredIngress[]): void => {
    if (planned.length === 0) return
    const versions = new Map(ingresses.map(({ id, version }) => [id, version]))
    for (const each of planned) states.set(each.front, { ...each, versions })
  }

  /** The commit of a change. What became of one that was lost on the way is read. */
  const commit = async ({ commit: { put, remove } }: Decided<unknown>, ifRevision: number): Promise<void> => {
    try {
      await table.commit({ ifRevision, put, remove })
    } catch (cause) {
      if (isConflict(cause)) throw cause
      // It may still be written after this.
      isDirty = true
      await table.refresh().catch(() => undefined)
      const { byId, grants } = table
      const isThere = put.every(({ kind, ...document }) =>
        isSame(kind === "ingress" ? byId.get(document.id) : grants.get(document.id), document),
      )
      const isGone = remove.every(({ kind, id }) => !(kind === "ingress" ? byId.has(id) : grants.has(id)))
      if (!isThere || !isGone) throw cause
    }
  }

  const attempt = async <A>(decided: Decided<A>, view: IngressView, isDryRun: boolean) => {
    const { ingresses, result } = decided
    const setting = await planRegistry("set", view.ingresses, ingresses)
    const planned = await planFronts(decided)
    const clearing = await planRegistry("clear", view.ingresses, ingresses)
    const all = [...setting, ...planned, ...clearing]
    const run = frontRun(all, { timeoutMs, onEvent })
    await run.validate()
    const diffs = all.filter(({ plan }) => plan.diff !== "").map(({ front, plan }) => ({ front, diff: plan.diff }))
    if (isDryRun) return { result, diffs }
    const writes = [...setting, ...clearing].flatMap((each) => each.writes)
    const note = writeJournal([...unfinished, ...writes])
    if (run.isChange) await mark(note)
    try {
      await run.apply()
      await commit(decided, view.revision)
    } catch (cause) {
      if (!(await run.rollBack())) isDirty = true
      if (isDirty) unfinished = [...unfinished, ...writes]
      else if (run.isChange) await eraseMark()
      throw cause
    }
    remember(planned, ingresses)
    if (!run.isChange) return { result, diffs }
    if (!(await isUndisturbed(note))) await bring()
    else if (unfinished.length === 0) await eraseMark()
    return { result, diffs }
  }

  const hasMoved = async (revision: number): Promise<boolean> => {
    await table.refresh().catch(() => undefined)
    return table.revision() !== revision
  }

  /** Brings fronts to what is stored, each for itself. Resolves to what was different and the first failure. */
  const bring = async (): Promise<{ readonly diffs: Diffs; readonly failure: unknown }> => {
    const diffs: { front: string; diff: string }[] = []
    let failure: unknown
    isDirty = false
    const failed = (cause: unknown): void => {
      isDirty = true
      failure ??= cause
      onEvent({ type: "error", during: "reconcile", cause })
    }
    try {
      if (unfinished.length > 0) await undo(unfinished)
      unfinished = []
    } catch (cause) {
      failed(cause)
    }
    const one = async (planned: () => Promise<readonly PlannedFront[]>): Promise<void> => {
      let run: FrontRun | undefined
      try {
        const fronts = await planned()
        run = frontRun(fronts, { timeoutMs, onEvent })
        await run.validate()
        await run.apply()
        remember(
          fronts.filter(({ front }) => front !== "router"),
          view.ingresses,
        )
        for (const { front, plan } of fronts) {
          if (plan.diff === "") continue
          diffs.push({ front, diff: plan.diff })
          onEvent({ type: "reconciled", front, diff: plan.diff })
        }
      } catch (cause) {
        failed(cause)
        await run?.rollBack()
      }
    }
    const view = table.view()
    await one(() => planRegistry("set", view.ingresses, view.ingresses))
    if (fronts.length > 0) {
      let prepared: PreparedExport | undefined
      try {
        prepared = await prepareExport(view.ingresses, view.grants, "all")
      } catch (cause) {
        failed(cause)
      }
      if (prepared !== undefined) {
        for (const front of fronts) await one(async () => [await planAt(front, prepared, undefined)])
      }
    }
    return { diffs, failure }
  }

  return {
    states,
    idle: () => inTurn(async () => undefined),
    run: (decide, { isDryRun = false } = {}) =>
      inTurn(async () => {
        let isLost = false
        let revision = 0
        try {
          for (let attempts = 1; ; attempts++) {
            await table.refresh()
            if (isDirty && !isDryRun) await bring()
            const view = table.view()
            revision = view.revision
            const decided = await decide()
            try {
              return await attempt(decided, view, isDryRun)
            } catch (cause) {
              if (!isConflict(cause)) throw cause
              isLost = true
              if (attempts === ATTEMPTS) throw cause
              await pause(attempts)
            }
          }
        } catch (cause) {
          // Taking back may have taken another process's change with it.
          if (!isDryRun && (isLost || (await hasMoved(revision)))) await bring()
          throw cause
        }
      }),
    commitFirst: (decide) =>
      inTurn(async () => {
        for (let attempts = 1; ; attempts++) {
          await table.refresh()
          const { revision } = table.view()
          const decided = await decide()
          try {
            await commit(decided, revision)
          } catch (cause) {
            if (!isConflict(cause) || attempts === ATTEMPTS) throw cause
            await pause(attempts)
            continue
          }
          const { failure } = await bring()
          if (failure !== undefined) throw failure
          return decided.result
        }
      }),
    reconcile: (before) =>
      inTurn(async () => {
        await table.refresh()
        unfinished = [...unfinished, ...(before?.() ?? [])]
        if (fronts.length > 0 || registryFronts !== undefined) {
          await tryMark(writeJournal(unfinished))
          // Whoever stores something after this sees that the mark is another's.
          await table.refresh()
        }
        const all: { front: string; diff: string }[] = []
        for (let attempts = 1; ; attempts++) {
          const revision = table.revision()
          const { diffs, failure } = await bring()
          if (failure !== undefined) throw failure
          all.push(...diffs)
          // What was stored meanwhile may have been taken from the fronts by this.
          if (!(await hasMoved(revision)) || attempts === ATTEMPTS) break
        }
        await eraseMark()
        return all
      }),
  }
}

/** A plan with other problems and another diff; its steps are the plan's own. */
const changedPlan = (plan: FrontPlan, problems: FrontPlan["problems"], diff: string): FrontPlan => ({
  problems,
  diff,
  validate: (signal) => plan.validate(signal),
  apply: (signal) => plan.apply(signal),
  readBack: (signal) => plan.readBack(signal),
  rollBack: (signal) => plan.rollBack(signal),
})

const isConflict = (cause: unknown): boolean =>
  cause instanceof RevisionConflict ||
  (typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "RevisionConflict")

/** So that two processes do not meet again and again. */
const pause = (attempts: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.random() * 10 * attempts))
