import type { Migration, SqlDatabase } from "./database.ts"

/**
 * Four tables, the same on both databases but for the names of types.
 *
 * - `rows`: projects, machines, names, domains and the like, by kind and id. Read and written by the registry alone: other columns
 *   than `data` are what is looked for.
 * - `routes`: where each key leads, denormalised: what a router reads.
 * - `changes`: what the feed remembers, without gaps in `seq`.
 * - `registry`: one row with the counters; `last_commit` says which commit raised them last.
 */
export const migrations = (layer: SqlDatabase["layer"], registryName: string): readonly Migration[] => {
  // Names are compared by byte, as JavaScript and SQLite do, whatever the locale of the database.
  const text = layer === "postgres" ? `text collate "C"` : "text"
  return [
    {
      version: 1,
      statements: [
        `create table project_ingress_registry (
          id integer primary key check (id = 1), name text not null,
          version bigint not null, seq bigint not null, last_commit text not null)`,
        `insert into project_ingress_registry values (1, '${registryName}', 0, 0, '')`,
        `create table project_ingress_rows (
          kind ${text} not null, id ${text} not null, stamp bigint not null, version bigint not null,
          owner ${text}, name ${text}, expires_at bigint, purge_at bigint, data text not null, primary key (kind, id))`,
        `create index project_ingress_rows_owner on project_ingress_rows (kind, owner, id)`,
        `create index project_ingress_rows_name on project_ingress_rows (name) where name is not null`,
        `create index project_ingress_rows_expiry on project_ingress_rows (expires_at) where expires_at is not null`,
        `create index project_ingress_rows_purge on project_ingress_rows (purge_at) where purge_at is not null`,
        `create table project_ingress_routes (
          key ${text} primary key, version bigint not null, record text not null)`,
        `create table project_ingress_changes (
          seq bigint primary key, key ${text} not null, version bigint not null, record text)`,
      ],
    },
    {
      // External ids are unique from here on, by the primary key of `rows`. Where several projects had the same before, one of
      // them is found by it; the others keep theirs until it is changed.
      version: 2,
      statements: [
        `insert into project_ingress_rows (kind, id, stamp, version, data)
          select 'externalIds', external_id, min(stamp), min(stamp), '"' || min(id) || '"' from (
            select id, stamp, ${layer === "postgres" ? "cast(data as json)" : "data"} ->> 'externalId' as external_id
            from project_ingress_rows where kind = 'projects') p
          where external_id is not null group by external_id`,
      ],
    },
  ]
}
