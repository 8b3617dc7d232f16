import { integerOf, jsonRows } from "./database.ts"
import type { SqlDatabase, Statement } from "./database.ts"
import type { RouteWrite, RowWrite } from "./rows.ts"

/** A row that was read: `stamp` is the registry's version at the commit that wrote it, 0 if there is no such row. */
export interface RowRead {
  readonly kind: string
  readonly id: string
  readonly stamp: number
}

/** What one commit writes, and what must not have changed since it was read. */
export interface Commit {
  readonly token: string
  readonly guards: readonly RowRead[]
  readonly rows: readonly RowWrite[]
  readonly gone: readonly { readonly kind: string; readonly id: string }[]
  readonly routes: readonly RouteWrite[]
  /** How many version numbers it takes. */
  readonly steps: number
  /** How many changes the feed keeps. */
  readonly kept: number
}

/** A field of a JSON row as an integer. */
const integer = (field: string): string => `cast(v.value ->> '${field}' as bigint)`

/** The statements of a registry. Written once: the two databases differ in how rows are made of a JSON array. */
export const statements = (layer: SqlDatabase["layer"]) => {
  const each = jsonRows[layer]
  /** In every statement of a commit: without it, the commit has lost and nothing is written. */
  const won = `join project_ingress_registry g on g.last_commit = :token`
  /** Rows that are not what they were when they were read. */
  const changed = `select 1 from ${each("guards")} v
    left join project_ingress_rows r on r.kind = v.value ->> 'kind' and r.id = v.value ->> 'id'
    where coalesce(r.stamp, 0) <> cast(v.value ->> 'stamp' as bigint)`
  const base = `g.version - ${integerOf("steps")}`

  return {
    /** Rows and routes, and when a project expires next: `kind`, `id`, `stamp`, `version`, `data`. */
    load: (rows: readonly { readonly kind: string; readonly id: string }[], routes: readonly string[]): Statement => ({
      text: `select r.kind, r.id, r.stamp, r.version, r.data from ${each("rows")} v
        join project_ingress_rows r on r.kind = v.value ->> 'kind' and r.id = v.value ->> 'id'
        union all
        select 'routes', t.key, 0, t.version, t.record from ${each("routes")} v
        join project_ingress_routes t on t.key = v.value ->> 'key'
        union all
        select 'expiry', '', 0, min(expires_at), '' from project_ingress_rows where expires_at is not null`,
      values: { rows: JSON.stringify(rows), routes: JSON.stringify(routes.map((key) => ({ key }))) },
    }),
    /** Has a row if one of those that were read has changed. */
    changed: (guards: readonly RowRead[]): Statement => ({
      text: `${changed} limit 1`,
      values: { guards: JSON.stringify(guards) },
    }),
    /** The first returns the registry's version afterwards, or no row if the commit has lost. */
    commit: ({ token, guards, rows, gone, routes, steps, kept }: Commit): readonly Statement[] => {
      const values = {
        token,
        guards: JSON.stringify(guards),
        rows: JSON.stringify(rows),
        gone: JSON.stringify(gone),
        routes: JSON.stringify(routes),
        steps: `${steps}`,
        count: `${routes.length}`,
        kept: `${kept}`,
      }
      const texts = [
        `update project_ingress_registry
          set version = version + ${integerOf("steps")}, seq = seq + ${integerOf("count")}, last_commit = :token
          where id = 1 and not exists (${changed}) returning version`,
        rows.length === 0
          ? undefined
          : `insert into project_ingress_rows (kind, id, stamp, version, owner, name, expires_at, purge_at, data)
          select v.value ->> 'kind', v.value ->> 'id', g.version, coalesce(${integer("version")}, ${base} + ${integer("step")}),
            v.value ->> 'owner', v.value ->> 'name', ${integer("expires")}, ${integer("purge")}, v.value ->> 'data'
          from ${each("rows")} v ${won} where true
          on conflict (kind, id) do update set stamp = excluded.stamp, version = excluded.version, owner = excluded.owner,
            name = excluded.name, expires_at = excluded.expires_at, purge_at = excluded.purge_at, data = excluded.data`,
        gone.length === 0
          ? undefined
          : `delete from project_ingress_rows where (kind, id) in (
            select v.value ->> 'kind', v.value ->> 'id' from ${each("gone")} v ${won})`,
        ...(routes.length === 0
          ? []
          : [
              `insert into project_ingress_routes (key, version, record)
              select v.value ->> 'key', ${base} + ${integer("step")}, v.value ->> 'record'
              from ${each("routes")} v ${won} where v.value ->> 'record' is not null
              on conflict (key) do update set version = excluded.version, record = excluded.record`,
              `delete from project_ingress_routes where key in (
                select v.value ->> 'key' from ${each("routes")} v ${won} where v.value ->> 'record' is null)`,
              `insert into project_ingress_changes (seq, key, version, record)
              select g.seq - ${integerOf("count")} + ${integer("at")}, v.value ->> 'key', ${base} + ${integer("step")},
                v.value ->> 'record'
              from ${each("routes")} v ${won}`,
              `delete from project_ingress_changes where seq <= (
                select g.seq - ${integerOf("kept")} from project_ingress_registry g where g.last_commit = :token)`,
            ]),
      ]
      return texts.filter((text) => text !== undefined).map((text) => ({ text, values }))
    },
    /** Ids of projects whose time is over and whose machines have their settings still. */
    expired: (at: number): Statement => ({
      text: `select id from project_ingress_rows where expires_at is not null and expires_at <= ${integerOf("at")}
        order by expires_at limit 50`,
      values: { at: `${at}` },
    }),
    purgeable: (at: number): Statement => ({
      text: `select kind, id from project_ingress_rows where purge_at is not null and purge_at <= ${integerOf("at")}
        order by purge_at limit 100`,
      values: { at: `${at}` },
    }),
    /** `owner`: empty for projects of every owner. */
    beginningWith: (prefix: string, owner: string): Statement => {
      const mine = owner === "" ? "" : "and owner = :owner"
      // The highest code point ends the range of all texts that begin so.
      const values = { prefix, end: `${prefix}\u{10ffff}`, ...(owner === "" ? {} : { owner }) }
      return {
        text: `select id from project_ingress_rows where kind = 'projects' and id >= :prefix and id < :end ${mine}
          union select id from project_ingress_rows where name is not null and name >= :prefix and name < :end ${mine}
          limit 10`,
        values,
      }
    },
    listAfter: (after: string, owner: string, limit: number): Statement => ({
      text: `select id from project_ingress_rows where kind = 'projects' and id > :after
        ${owner === "" ? "" : "and owner = :owner"} order by id limit ${limit}`,
      values: { after, ...(owner === "" ? {} : { owner }) },
    }),
    /** The registry's `name` and the `seq` of its latest change. */
    registry: { text: "select name, seq from project_ingress_registry", values: {} },
    routesAfter: (after: string): Statement => ({
      text: "select key, version, record from project_ingress_routes where key > :after order by key limit 1000",
      values: { after },
    }),
    /** At least one row: the registry's `name` and `latest`, with a change each, or with none. */
    changesAfter: (seq: number, limit: number): Statement => ({
      text: `select g.name, g.seq as latest, c.seq, c.key, c.version, c.record from project_ingress_registry g left join (
          select seq, key, version, record from project_ingress_changes where seq > ${integerOf("seq")}
          order by seq limit ${limit}) c on true
        order by c.seq`,
      values: { seq: `${seq}` },
    }),
  }
}

export type Statements = ReturnType<typeof statements>
