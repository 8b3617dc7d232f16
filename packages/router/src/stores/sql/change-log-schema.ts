/**
 * What a platform installs once beside its own tables, in a migration of its own: the log that `postgresFeed` reads. Postgres 13 or newer.
 *
 * - `route_changed(key)`: to be called by triggers of the platform's tables, for each key whose record is another now.
 * - `route_changes`: the log. Rows may be deleted once no reader is as far behind; a reader that is finds a gap.
 * - `route_versions`: the latest version of each key.
 * - `route_feed`: one row: the log's name, and how far it was deleted.
 */
export const changeLogSchema: readonly string[] = [
  `create table route_feed (
    id integer primary key default 1 check (id = 1), name text not null default replace(gen_random_uuid()::text, '-', ''),
    deleted_xid xid8 not null default '0', deleted_seq bigint not null default 0)`,
  `insert into route_feed default values`,
  `create sequence route_seq`,
  `create table route_versions (route_key text primary key, version bigint not null)`,
  `create table route_changes (
    seq bigint primary key, xid xid8 not null default pg_current_xact_id(), route_key text not null,
    changed_at timestamptz not null default clock_timestamp())`,
  `create index route_changes_order on route_changes (xid, seq)`,
  // The lock of the key's row lasts until the commit, and the number is drawn under it: versions of a key are in the order of commits.
  `create function route_changed(key text) returns void language plpgsql as $$
    declare drawn bigint;
    begin
      -- No hostname leads to a longer one, and no index takes one of any length.
      if key is null or length(key) > 300 then return; end if;
      insert into route_versions as v (route_key, version) values (key, nextval('route_seq'))
        on conflict (route_key) do update set version = nextval('route_seq') returning v.version into drawn;
      insert into route_changes (seq, route_key) values (drawn, key);
      perform pg_notify('route_changes', '');
    end $$`,
  `create function route_changes_deleted() returns trigger language plpgsql as $$
    begin
      update route_feed f set deleted_xid = g.xid, deleted_seq = g.seq
        from (select xid, seq from gone order by xid desc, seq desc limit 1) g
        where (g.xid, g.seq) > (f.deleted_xid, f.deleted_seq);
      return null;
    end $$`,
  `create trigger route_changes_deleted after delete on route_changes
    referencing old table as gone for each statement execute function route_changes_deleted()`,
  `create function route_changes_truncated() returns trigger language plpgsql as $$
    begin
      update route_feed set deleted_xid = pg_current_xact_id(), deleted_seq = 9223372036854775807;
      return null;
    end $$`,
  `create trigger route_changes_truncated after truncate on route_changes
    for each statement execute function route_changes_truncated()`,
]
