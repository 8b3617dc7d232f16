import { pause } from "../reading/pause.ts"
import type { Committed } from "../registry/drafts.ts"
import { newDrafts } from "../registry/drafts.ts"
import type { Change } from "../registry/operations.ts"
import { randomId } from "../registry/random-id.ts"
import { routesOfExpired, runChange } from "../registry/run-change.ts"
import { TABLE_NAMES } from "../registry/state.ts"
import type { TableName, Tables } from "../registry/state.ts"
import type { RegistryStorage } from "../registry/storage.ts"
import type { RouteChange } from "../route-feed.ts"
import { CommitConflict } from "./database.ts"
import type { SqlDatabase, SqlRow } from "./database.ts"
import { isStorable, loadedRows } from "./loaded-rows.ts"
import type { LoadedRows, Wanted } from "./loaded-rows.ts"
import { encodeRoute, encodeRow, PROVISIONAL } from "./rows.ts"
import type { Statements } from "./statements.ts"

/** How often a change runs at most, because others changed what it had read. */
const MAX_ATTEMPTS = 100

/** What a change runs with. */
export interface SqlSetting extends Omit<Change, "state" | "now" | "nextVersion"> {
  /** How many changes the feed keeps. */
  readonly kept: number
  readonly now: () => number
}

/** Rows of a registry in a database. */
export interface SqlStorage extends RegistryStorage {
  /** Publishes what time alone has changed, where a load found that it is due. */
  readonly expire: () => Promise<void>
}

/** What an attempt came to; if others changed meanwhile what it had read, that, for the next one to load at once. */
type Attempt<A> = { readonly result: A } | { readonly loaded: readonly Wanted[] }

/**
 * A change reads what it needs, computes what is to be written, and writes it on condition that nothing of what it read is another
 * now. Where the condition does not hold, nothing is written and the change runs again: so it either sees what won and fails with
 * the error for that, or it comes after it.
 */
export const sqlStorage = (database: SqlDatabase, sql: Statements, setting: SqlSetting): SqlStorage => {
  const { now, kept } = setting

  /** Runs a change once; what it throws counts only if it was thrown about rows that are so still. */
  const attempt = async <A>(
    database: SqlDatabase,
    run: Run<A>,
    expireFirst: boolean,
    first: readonly Wanted[],
  ): Promise<Attempt<A>> => {
    const rows = loadedRows(database, sql, first, true)
    const lost = () => ({ loaded: rows.loaded() })
    const at = now()
    let steps = 0
    let written: ToWrite<A>
    try {
      written = await rows.run((committed) => {
        steps = 0
        return run(committed, () => PROVISIONAL + (steps += 1), at)
      })
    } catch (cause) {
      if (await isChanged(database, rows)) return lost()
      throw cause
    }
    if (expireFirst && rows.nextExpiry() <= at) {
      await expire(database)
      return lost()
    }
    const { result, drafts, routes } = written
    if (drafts.length === 0 && routes.length === 0) return (await isChanged(database, rows)) ? lost() : { result }
    // One at least: a stamp is of one commit alone.
    steps = Math.max(steps, 1)
    const commit = sql.commit({
      token: randomId(20),
      guards: rows.read(),
      rows: drafts.flatMap(({ kind, id, row }) => (row === undefined ? [] : [encodeRow(kind, id, row, at)])),
      gone: drafts.flatMap(({ kind, id, row }) => (row === undefined ? [{ kind, id }] : [])),
      routes: routes.map(encodeRoute),
      steps,
      kept,
    })
    const [registry] = await database.commit(commit)
    return registry === undefined ? lost() : { result: numbered(result, Number(registry["version"]) - steps) }
  }

  const isChanged = async (database: SqlDatabase, rows: LoadedRows): Promise<boolean> => {
    const guards = rows.isConsistent() ? [] : rows.read()
    return guards.length > 0 && (await database.read(sql.changed(guards))).length > 0
  }

  /** Attempts a change until it is done, or fails for a reason of its own. */
  const insist = async <A>(database: SqlDatabase, run: Run<A>, expireFirst: boolean): Promise<A> => {
    let loaded: readonly Wanted[] = []
    for (let at = 0; at < MAX_ATTEMPTS; at++) {
      const again = await (
        at === 0 || database.exclusive === undefined
          ? attempt(database, run, expireFirst, loaded)
          : database.exclusive((alone) => attempt(alone, run, expireFirst, loaded))
      ).catch(lostIfConflict)
      if ("result" in again) return again.result
      loaded = again.loaded
      if (at > 0) await pauseAfter(at)
    }
    throw new Error(`the registry's rows were changed by others ${MAX_ATTEMPTS} times`)
  }

  const expire = async (database: SqlDatabase): Promise<void> => {
    for (let at = 0; at < MAX_ATTEMPTS; at++) {
      const ids = idsOf(await database.read(sql.expired(now())))
      if (ids.length === 0) return
      const publish: Run<void> = (committed, nextVersion, at) => {
        const due = ids.flatMap((id) => {
          const row = committed.row("projects", id)
          return row === undefined || (row.expiresAt ?? Infinity) > at ? [] : [{ kind: "projects", id, row } as const]
        })
        const over = due.map(({ id }) => id)
        // Written as they are: what has expired is not found again.
        return { result: undefined, drafts: due, routes: routesOfExpired(committed, { now: at, nextVersion }, over) }
      }
      // Once: whoever loses finds that another has done it.
      const done = await attempt(database, publish, false, []).catch(lostIfConflict)
      if (!("result" in done)) await pauseAfter(at)
    }
  }

  return {
    expire: () => expire(database),
    change: (run) => {
      const write: Run<ReturnType<typeof run>> = (committed, nextVersion, at) => {
        const { result, drafts, routes } = runChange(committed, { ...setting, now: at, nextVersion }, run)
        const written = TABLE_NAMES.flatMap((kind) => [...drafts[kind].written].map(([id, row]) => ({ kind, id, row })))
        return { result, drafts: written, routes }
      }
      return insist(database, write, true)
    },
    read: async (run, ids = []) => {
      const first = ids.map((id) => ({ kind: "projects", id }) as const)
      const rows = loadedRows(database, sql, first, false)
      try {
        return await rows.run((committed) => run(newDrafts(committed)))
      } catch (cause) {
        if (!(await isChanged(database, rows))) throw cause
        return insist(database, (committed) => ({ result: run(newDrafts(committed)), drafts: [], routes: [] }), false)
      }
    },
    beginningWith: async (text, owner = "") =>
      isStorable(text) && isStorable(owner) ? idsOf(await database.read(sql.beginningWith(text, owner))) : [],
    listAfter: async (id, owner = "", limit) =>
      isStorable(owner) ? idsOf(await database.read(sql.listAfter(id, owner, limit))) : [],
    purgeable: async () => {
      const rows = await database.read(sql.purgeable(now()))
      return rows.map(({ kind, id }) => ({ kind: kind as TableName, id: String(id) }))
    },
  }
}

/** Computes what is to be written; may be called several times. */
type Run<A> = (committed: Committed, nextVersion: () => number, at: number) => ToWrite<A>

/** What a change wants to be written. */
interface ToWrite<A> {
  readonly result: A
  readonly drafts: readonly {
    readonly kind: TableName
    readonly id: string
    readonly row: Tables[TableName] | undefined
  }[]
  readonly routes: readonly RouteChange[]
}

/** The database gave up: what was loaded is to be loaded again. */
const lostIfConflict = (cause: unknown): { readonly loaded: readonly Wanted[] } => {
  if (cause instanceof CommitConflict) return { loaded: [] }
  throw cause
}

/** Longer after each attempt, and never the same for all who wait. In ms, at most half a second. */
const pauseAfter = (attempts: number): Promise<void> => pause(Math.random() * Math.min(500, 4 * 2 ** attempts))

const idsOf = (rows: readonly SqlRow[]): readonly string[] => rows.map(({ id }) => String(id))

/** A result whose `version` was counted from the registry's version before the commit. */
const numbered = <A>(result: A, base: number): A => {
  if (typeof result !== "object" || result === null || !("version" in result)) return result
  const { version } = result
  return typeof version === "number" && version >= PROVISIONAL
    ? { ...result, version: base + version - PROVISIONAL }
    : result
}
