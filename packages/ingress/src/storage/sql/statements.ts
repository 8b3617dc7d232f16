import { jsonRows, randomId } from "@project-ingress/router/internal"
import type { CheckedCommit, DocumentName } from "../checked-commit.ts"

/** A database's dialect. */
export type SqlEngine = keyof typeof jsonRows

/** A statement. `:name` in its text stands for a value; all values are text and are cast where they are used. */
export interface Statement {
  readonly text: string
  readonly values: Readonly<Record<string, string>>
}

/** D1 takes 2 MB in one value. */
const MAX_VALUE_LENGTH = 500_000

const DOCUMENTS = "project_ingress_ingress_documents"
const REVISION = "project_ingress_ingress_revision"

const integerOf = (name: string): string => `cast(cast(:${name} as text) as bigint)`

/**
 * The statements of a storage, the same for both databases but for how rows are made of a JSON array.
 *
 * - `documents`: each with the revision that wrote it; `data` is null where it was removed, for readers that have it still.
 * - `revision`: one row. `last_commit` says which commit raised it last, and `pruned` up to which revision removals are forgotten.
 */
export const statements = (engine: SqlEngine) => {
  const each = jsonRows[engine]
  // Names are compared by byte, as JavaScript and SQLite do, whatever the locale of the database.
  const text = engine === "postgres" ? `text collate "C"` : "text"
  /** In every statement of a commit but the first: without it, the commit has lost and nothing is written. */
  const won = `join ${REVISION} g on g.last_commit = :token`

  return {
    migration: [
      `create table if not exists ${REVISION} (
        id integer primary key check (id = 1), revision bigint not null, pruned bigint not null,
        last_commit text not null, applying text)`,
      `insert into ${REVISION} (id, revision, pruned, last_commit) select 1, 0, 0, ''
        where not exists (select 1 from ${REVISION})`,
      `create table if not exists ${DOCUMENTS} (
        kind ${text} not null, id ${text} not null, revision bigint not null, data text, primary key (kind, id))`,
      `create index if not exists ${DOCUMENTS}_revision on ${DOCUMENTS} (revision)`,
    ],
    head: { text: `select revision, applying from ${REVISION}`, values: {} },
    /**
     * At least one row, of one moment: `current`, and `kind`, `id`, `data` of a document each, or null. `after` is -1 where it is
     * everything, else the revision.
     */
    changesAfter: (since: number): Statement => ({
      text: `select g.revision as current, g.after, d.kind, d.id, d.data from (
          select revision, case when ${integerOf("since")} <= 0 or ${integerOf("since")} < pruned
            or ${integerOf("since")} > revision then -1 else ${integerOf("since")} end as after from ${REVISION}) g
        left join ${DOCUMENTS} d on d.revision > g.after and (d.data is not null or g.after >= 0)`,
      values: { since: `${since}` },
    }),
    /** Those of some documents that are there. */
    named: (names: readonly DocumentName[]): Statement => ({
      text: `select d.kind, d.id, d.data from ${each("names")} v
        join ${DOCUMENTS} d on d.kind = v.value ->> 'kind' and d.id = v.value ->> 'id' where d.data is not null`,
      values: { names: JSON.stringify(names) },
    }),
    mark: (note: string | undefined): Statement => ({
      text: `update ${REVISION} set applying = ${note === undefined ? "null" : "cast(:note as text)"}`,
      values: note === undefined ? {} : { note },
    }),
    /** The first returns the new revision, or no row if the commit has lost. */
    commit: (ifRevision: number, { put, remove }: CheckedCommit, kept: number): readonly Statement[] => {
      const token = randomId(20)
      const rows = put.map(({ kind, id, text }) => `{"kind":"${kind}","id":"${id}","data":${text}}`)
      return [
        {
          text: `update ${REVISION} set revision = revision + 1, last_commit = :token,
            pruned = case when pruned > revision + 1 - ${kept} then pruned else revision + 1 - ${kept} end
            where revision = ${integerOf("expected")} returning revision`,
          values: { token, expected: `${ifRevision}` },
        },
        ...chunks(rows).map((puts) => ({
          text: `insert into ${DOCUMENTS} (kind, id, revision, data)
            select v.value ->> 'kind', v.value ->> 'id', g.revision, cast(v.value -> 'data' as text)
            from ${each("puts")} v ${won} where true
            on conflict (kind, id) do update set revision = excluded.revision, data = excluded.data`,
          values: { token, puts },
        })),
        ...(remove.length === 0
          ? []
          : [
              {
                text: `update ${DOCUMENTS} set data = null, revision = (select revision from ${REVISION})
                  where data is not null and (kind, id) in (
                    select v.value ->> 'kind', v.value ->> 'id' from ${each("gone")} v ${won})`,
                values: { token, gone: JSON.stringify(remove) },
              },
            ]),
        {
          text: `delete from ${DOCUMENTS} where data is null and revision <= (
            select g.pruned from ${REVISION} g where g.last_commit = :token)`,
          values: { token },
        },
      ]
    },
  }
}

/** JSON arrays of some texts each, not much longer than one value may be. */
const chunks = (texts: readonly string[]): readonly string[] => {
  const arrays: string[][] = []
  let length = Infinity
  for (const text of texts) {
    if (length + text.length > MAX_VALUE_LENGTH) {
      arrays.push([])
      length = 0
    }
    arrays.at(-1)!.push(text)
    length += text.length
  }
  return arrays.map((array) => `[${array.join(",")}]`)
}
